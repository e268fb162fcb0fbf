"""A daemon that kills itself at one await point of a repair, for `test_killed`.

It reads lines from standard input: `STEP FILE`, and for each forks a daemon with the settings of that
file. Whenever a task that handles a delivery goes on after an await, that is a step; at step number STEP
(counted from 1; 0 for never) the process gets SIGKILL. It says `up` when the daemon receives, and at the
end `killed` or `ended STEPS`, where STEPS is how many there were. A line that comes while a daemon runs
ends it in good order.
"""

import asyncio
import os
import select
import signal
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import Any

from monitor import logs
from monitor.app import App
from monitor.assembly import load
from monitor.settings_file import read_settings
from monitor.simulator.kms import service as _kms  # noqa: F401 -- not needed, but slow to load

WATCHED = "handle delivery"


class Steps:
    def __init__(self, last: int) -> None:
        self.last = last
        self.taken = 0

    def count(self) -> None:
        self.taken += 1
        if self.taken == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


class Stepped(Coroutine[Any, Any, Any]):
    """A coroutine whose every step is counted."""

    def __init__(self, inner: Coroutine[Any, Any, Any], steps: Steps) -> None:
        self.inner = inner
        self.steps = steps

    def send(self, value: Any) -> Any:
        self.steps.count()
        return self.inner.send(value)

    def throw(self, *error: Any) -> Any:
        return self.inner.throw(*error)

    def close(self) -> None:
        self.inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from self.inner.__await__()


async def live(file: Path, steps: Steps, stopping: int) -> None:
    loop = asyncio.get_running_loop()

    def make(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
        return Named(work, steps, loop=loop, **more)

    loop.set_task_factory(make)
    settings = read_settings(file, {})
    app = App(settings, load(settings, file))

    def stop() -> None:
        loop.remove_reader(stopping)
        app.stop()

    loop.add_reader(stopping, stop)
    await app.run(lambda: say("up"))


class Named(asyncio.Task[Any]):
    """A task that counts its steps if it is named as one that handles a delivery.

    The name is known only once the task is made: a task group sets it afterwards.
    """

    def __init__(self, work: Any, steps: Steps, **more: Any) -> None:
        super().__init__(Waiting(self, work, steps), **more)


class Waiting(Stepped):
    def __init__(self, task: asyncio.Task[Any], inner: Any, steps: Steps) -> None:
        super().__init__(inner, steps)
        self.task = task

    def send(self, value: Any) -> Any:
        if self.task.get_name().startswith(WATCHED):
            self.steps.count()
        return self.inner.send(value)


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def child(step: int, file: Path, stopping: int) -> None:
    logs.set_up("critical")
    steps = Steps(step)
    asyncio.run(live(file, steps, stopping))
    say(f"ended {steps.taken}")


def main() -> None:
    # Unbuffered: what is not read yet must not be read by a child.
    while line := os.read(0, 4096).decode().strip():
        step, _, file = line.partition(" ")
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writing)
            child(int(step), Path(file), reading)
            os._exit(0)
        os.close(reading)
        waiting_for(pid, writing)


def waiting_for(pid: int, writing: int) -> None:
    """Until the child is dead; a line from the test ends it in good order."""
    died = os.pidfd_open(pid)
    asked = False
    while True:
        ready, _, _ = select.select([died] if asked else [0, died], [], [])
        if died in ready:
            break
        os.read(0, 4096)
        os.close(writing)
        asked = True
    os.close(died)
    if not asked:
        os.close(writing)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        say("killed")


if __name__ == "__main__":
    main()
