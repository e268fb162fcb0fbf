"""Key material that a program prints, such as a client of a hardware security module.

The program prints the material to stdout and ends with 0; with 0 and no output it says that it has
none of this key. No shell is involved. What it writes to stderr is thrown away: it may hold anything.
"""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, Field

from monitor.errors import NotWorthRetrying, WorthRetrying
from monitor.escrow import LARGEST, EncodingOption, Name, Secret, Wanted, decode, fill
from monitor.plugins import Services


def absolute(argv: list[str]) -> list[str]:
    """What is searched for in PATH could be replaced by whoever may write to any of its folders."""
    if not Path(argv[0]).is_absolute():
        raise ValueError("argv: the program must be named by its whole path, such as /usr/bin/x")
    return argv


LAST_SECONDS = 2.0
"""That a killed program has to be gone; only one that left its group can hold its pipe any longer."""


class CommandOptions(BaseModel, extra="forbid"):
    argv: Annotated[list[Name], AfterValidator(absolute)] = Field(
        min_length=1,
        description="The program by its whole path, and its arguments. Placeholders: account, arn, "
        "key_id, material_id, region; material_id is empty where KMS does not say which one.",
    )
    timeout_seconds: float = Field(
        10, gt=0, le=60, description="After which the program is killed with all that it began."
    )
    encoding: EncodingOption = "base64"


class CommandEscrow:
    name: ClassVar[str] = "command"
    Options: ClassVar[type[BaseModel]] = CommandOptions

    def __init__(self, options: CommandOptions, _services: Services) -> None:
        self.options = options

    async def fetch(self, wanted: Wanted) -> Secret | None:
        argv = [fill(one, wanted) for one in self.options.argv]
        try:
            running = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise NotWorthRetrying(f"{argv[0]} cannot be run: {error.strerror}") from error
        seconds = self.options.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                printed = await output(running)
                code = await running.wait()
        except TimeoutError:
            raise WorthRetrying(f"{argv[0]} did not end within {seconds:g} s") from None
        finally:
            await end(running)
        if code:
            how = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
            raise WorthRetrying(f"{argv[0]} {how}")
        return (
            decode(printed, self.options.encoding, f"what {argv[0]} printed") if printed else None
        )


async def output(running: asyncio.subprocess.Process) -> bytearray:
    """What it prints. More than any material is long is not read on: `decode` refuses it."""
    assert running.stdout is not None
    printed = bytearray()
    while len(printed) <= LARGEST and (piece := await running.stdout.read(LARGEST)):
        printed += piece
    if len(printed) > LARGEST:
        kill(running)  # it would wait for ever for somebody to read the rest
        raise NotWorthRetrying("what the program printed is longer than any key material")
    return printed


async def end(running: asyncio.subprocess.Process) -> None:
    """Nothing of it goes on, whatever became of us."""
    assert running.stdout is not None
    if running.returncode is None or not running.stdout.at_eof():
        kill(running)
    # What it printed and nobody read keeps asyncio from noticing that it ended.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_SECONDS):
            while await running.stdout.read(LARGEST):
                pass
            await running.wait()


def kill(running: asyncio.subprocess.Process) -> None:
    """The whole group: a script's own children would keep the pipe open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
