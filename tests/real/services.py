"""Real services for tests: found or skipped, on free loopback ports, and always ended."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REQUIRED = "KMS_MONITOR_REAL"
"""Set to `required` where the services are installed on purpose: there a skip is a failure, but for those
that `KMS_MONITOR_WITHOUT` names: what could not be built there."""


def require(program: str) -> str:
    """The path of an installed program; without it the test skips, or fails where required."""
    # The aws command lies beside our Python, and Debian keeps daemons where an ordinary user's
    # PATH does not look.
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"]
    found = shutil.which(program, path=os.pathsep.join([*places, "/usr/local/sbin"]))
    if found:
        return found
    reason = f"{program} is not installed"
    without = os.environ.get("KMS_MONITOR_WITHOUT", "").split()
    if os.environ.get(REQUIRED) == "required" and program not in without:
        pytest.fail(f"{reason}, and {REQUIRED}=required")
    pytest.skip(reason)


def kustomize() -> list[str]:
    """The command that renders a kustomization: kubectl, which has kustomize in it, or kustomize itself."""
    if shutil.which("kubectl"):
        return [require("kubectl"), "kustomize"]
    return [require("kustomize"), "build"]


def free_port() -> int:
    """A port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, process: "subprocess.Popen[bytes]", seconds: float = 5.0) -> None:
    """Until something listens there, or the process that should has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"{process.args!r} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"nothing listens on port {port} after {seconds} s")


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A server process, up and listening; killed and reaped at the end."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_for_port(port, process)
        yield process
    finally:
        process.kill()
        process.wait()
