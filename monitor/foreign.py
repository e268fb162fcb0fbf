"""Runs code of others, and keeps what it throws instead of being stopped by it.

A future keeps any error as a value, `SystemExit` included, so that no `except` of ours hides one:
who calls has to look at it. The price is a thread for as long as the call lasts; there is no event
loop in it, and none is needed to import a module or to make a plugin.
"""

import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from monitor.logs import printable

T = TypeVar("T")


class Ran(msgspec.Struct, Generic[T], frozen=True):
    """What became of a call: its value, or its error."""

    value: T | None = None
    error: BaseException | None = None


def run(work: Callable[[], T]) -> Ran[T]:
    """Do it, and wait for it."""
    with ThreadPoolExecutor(1, thread_name_prefix="code of others") as pool:
        future = pool.submit(work)
    error = future.exception()
    return Ran(None, error) if error is not None else Ran(future.result())


def place_of(error: BaseException) -> str:
    """Its type and where it was thrown. Not its text, which may hold anything, such as a secret."""
    if isinstance(error, SyntaxError) and error.filename:  # its frames are Python's own
        return f"{type(error).__name__} in {Path(error.filename).name}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def text_of(error: BaseException) -> str:
    """The same with its text, for errors that know nothing of the settings: those of an import."""
    return printable(f"{place_of(error)}: {error}".replace("\n", " "))[:300]
