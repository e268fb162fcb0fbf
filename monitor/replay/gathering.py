"""All inputs read, several at once, and what was wanted in them kept.

Gunzip and decoding need the processor, so files are read in worker processes, unless there is so
little that starting them would take longer. Objects are fetched into files first.
"""

import asyncio
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Protocol

import msgspec

from monitor.errors import MonitorError
from monitor.replay.journal import Journal
from monitor.replay.progress import Bar
from monitor.replay.reading import Asked, Reading, read_file
from monitor.replay.sources import Input

WORTH_PROCESSES = 16 * 2**20
"""Bytes. Below that one thread is done before the processes are up."""
BROKEN_POOL = "the process that read it came to an end; is there enough memory?"


class Remote(Protocol):
    """What reads inputs that are no local files; see `aws_sources`."""

    async def fetch(self, one: Input, target: Path) -> None:
        """Write an object into a file."""

    async def history(self, one: Input) -> Reading:
        """Ask the event history."""


class Gathered(msgspec.Struct):
    """What was in all inputs together."""

    records: list[tuple[str, bytes]] = []
    """Each with the name of its source."""
    read: int = 0
    inputs: int = 0
    size: int = 0
    """Bytes read in this run, as they are stored."""
    resumed: int = 0
    """Inputs that an earlier run had read."""
    unreadable: int = 0
    """Inputs of which something could not be read."""

    def add(self, one: Input, reading: Reading) -> None:
        self.inputs += 1
        self.read += reading.read
        self.unreadable += bool(reading.fault)
        self.records += [(one.source, event) for event in reading.events]


class Gathering:
    """One run over inputs. `complain` gets a line for each that cannot be read."""

    def __init__(
        self,
        asked: Asked,
        *,
        jobs: int,
        bar: Bar,
        complain: Callable[[str], None],
        journal: Journal | None = None,
        remote: Remote | None = None,
    ) -> None:
        self.asked = asked
        self.jobs = jobs
        self.bar = bar
        self.complain = complain
        self.journal = journal
        self.remote = remote
        self.gathered = Gathered(records=[])

    async def run(self, inputs: Sequence[Input]) -> Gathered:
        """Read them all. Raises OSError where the journal or temporary files cannot be written."""
        left = [one for one in inputs if not self.resumed(one)]
        size = sum(one.size for one in left)
        self.bar.begin(len(left), size)
        pool = make_pool(self.jobs if len(left) > 1 and size >= WORTH_PROCESSES else 1)
        # More than jobs, so that fetching and reading overlap.
        limit = asyncio.Semaphore(self.jobs * 2 + 2)
        try:
            with tempfile.TemporaryDirectory(prefix="kms-monitor-") as folder:
                async with asyncio.TaskGroup() as tasks:
                    for number, one in enumerate(left):
                        await limit.acquire()
                        temporary = Path(folder, str(number))
                        task = tasks.create_task(
                            self.take(one, pool, temporary), name=f"read {one.name}"
                        )
                        task.add_done_callback(lambda _: limit.release())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return self.gathered

    def resumed(self, one: Input) -> bool:
        reading = self.journal.reading(one) if self.journal else None
        if reading is None:
            return False
        self.gathered.add(one, reading)
        self.gathered.resumed += 1
        if reading.fault:
            self.complain(complaint(one, reading))
        return True

    async def take(self, one: Input, pool: Executor, temporary: Path) -> None:
        reading = await self.read(one, pool, temporary)
        if reading.fault:
            self.complain(complaint(one, reading))
        if self.journal is not None:
            self.journal.note(one, reading)
        self.gathered.add(one, reading)
        self.gathered.size += one.size
        self.bar.advance(one.size)

    async def read(self, one: Input, pool: Executor, temporary: Path) -> Reading:
        loop = asyncio.get_running_loop()
        try:
            if one.path:
                return await loop.run_in_executor(pool, read_file, one.path, self.asked)
            assert self.remote is not None, "only remote sources give inputs without a path"
            if one.account:
                return await self.remote.history(one)
            await self.remote.fetch(one, temporary)
            reading = await loop.run_in_executor(pool, read_file, str(temporary), self.asked)
            temporary.unlink()  # noqa: ASYNC240 - no longer than a task switch
        except MonitorError as error:
            return Reading(events=[], fault=str(error), whole=False)
        except BrokenProcessPool:
            return Reading(events=[], fault=BROKEN_POOL, whole=False)
        return reading


def complaint(one: Input, reading: Reading) -> str:
    if reading.damaged and reading.whole:
        many = f"{reading.damaged} of {reading.read} records cannot be read"
        return f"{one.name}: {many}; the first: {reading.fault}"
    return f"{one.name}: cannot be read: {reading.fault}"


def make_pool(jobs: int) -> Executor:
    if jobs == 1:
        return ThreadPoolExecutor(1, thread_name_prefix="read files")
    # Not by fork: this process has threads and an event loop.
    return ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=leave_signals
    )


def leave_signals() -> None:
    """Ctrl-C reaches every process of the terminal; only the first one answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def processors() -> int:
    """How many this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
