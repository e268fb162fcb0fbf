"""The zip at work on this machine, as Lambda would run it: a process of its own that has nothing but the zip.

For tests and benchmarks. Lambda calls one container once at a time, and so does this; it measures as Lambda
does: the import of the handler's module is the start, and each call is counted for itself.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from monitor.simulator.functions import Context

WORKER: Final = """
import json, os, sys, time
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what the function prints goes where its log goes
sys.path.insert(0, sys.argv[1])
where, _, name = sys.argv[2].rpartition(".")
began = time.perf_counter()
module = __import__(where, fromlist=[name])
handler = getattr(module, name)
print(json.dumps({"seconds": time.perf_counter() - began, "modules": sorted(sys.modules)}), file=answers)

class Context:
    def __init__(self, given):
        self.aws_request_id = given["aws_request_id"]
        self.invoked_function_arn = given["invoked_function_arn"]
        self.ends_at = time.monotonic() + given["milliseconds"] / 1000
    def get_remaining_time_in_millis(self):
        return max(0, int((self.ends_at - time.monotonic()) * 1000))

for line in sys.stdin:
    given = json.loads(line)
    began = time.perf_counter()
    try:
        said = {"answer": handler(given["event"], Context(given))}
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {error}"}
    said |= {"seconds": time.perf_counter() - began, "modules": sorted(sys.modules)}
    print(json.dumps(said), file=answers)
"""


class Said(msgspec.Struct, frozen=True):
    """What came of one call, or of the start."""

    seconds: float
    modules: frozenset[str]
    """Loaded by then."""
    answer: Any = None
    error: str = ""


class CallFailed(Exception):
    """The handler raised."""


class Container:
    """`call` as often as wanted; ended by `close`."""

    def __init__(
        self,
        tree: Path,
        python: Path,
        handler: str,
        environment: Mapping[str, str],
        *,
        log: int | None = None,
    ) -> None:
        """`tree`: the zip, unpacked. `environment`: all that there is. `log`: as `stderr` of subprocess."""
        self.process = subprocess.Popen(
            [str(python), "-I", "-B", "-c", WORKER, str(tree), handler],
            cwd=tree,
            env={
                "PATH": os.defpath,
                "LAMBDA_TASK_ROOT": str(tree),
                "AWS_LAMBDA_FUNCTION_NAME": "kms-monitor",
                **environment,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        self.started = self.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> Said:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise CallFailed(f"the process ended with {self.process.wait()}")
        return msgspec.json.decode(line, type=Said)

    def call(self, event: Any, context: Context) -> Said:
        given = {
            "event": event,
            "aws_request_id": context.aws_request_id,
            "invoked_function_arn": context.invoked_function_arn,
            "milliseconds": context.get_remaining_time_in_millis(),
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(given) + "\n")
        self.process.stdin.flush()
        return self.read()

    def handle(self, event: Any, context: Context) -> Any:
        """As a handler of the simulator's. Raises `CallFailed`."""
        said = self.call(event, context)
        if said.error:
            raise CallFailed(said.error)
        return said.answer

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
