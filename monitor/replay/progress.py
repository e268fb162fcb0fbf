"""The bar that shows how far reading has come: files, bytes a second, time left. On a terminal."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class Bar:
    """Shows nothing unless `console` is a terminal and somebody wants to see it."""

    def __init__(self, console: Console, *, shown: bool) -> None:
        self.files = 0
        self.total = 0
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[files]} files"),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not (shown and console.is_terminal),
        )
        self.task: TaskID = self.progress.add_task("looking for files", total=None, files="0")

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def begin(self, files: int, size: int) -> None:
        """So much there is to read."""
        self.total = files
        self.progress.update(
            self.task, description="reading", total=size, files=f"{self.files}/{self.total}"
        )

    def advance(self, size: int) -> None:
        """One more file is read."""
        self.files += 1
        self.progress.update(self.task, advance=size, files=f"{self.files}/{self.total}")
