"""One bar for each layer, with rate and time left, on a terminal; nothing elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class Bar:
    """What is done of one thing. `sent` is what travelled for it, again and again where it had to."""

    def __init__(self, progress: Progress | None, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def moved(self, size: int) -> None:
        """Negative where it is to be done again."""
        if self._progress is not None:
            self._progress.advance(self._task, size)

    def restart(self) -> None:
        if self._progress is not None:
            self._progress.update(self._task, completed=0)

    def total(self, size: int) -> None:
        if self._progress is not None:
            self._progress.update(self._task, total=size)

    def says(self, state: str) -> None:
        if self._progress is not None:
            self._progress.update(self._task, state=state)

    def done(self, state: str) -> None:
        if self._progress is not None:
            task = self._progress.tasks[self._task]
            self._progress.update(self._task, completed=task.total or task.completed, state=state)
            self._progress.stop_task(self._task)


class Bars:
    """On standard error, where that is a terminal."""

    def __init__(self, *, shown: bool = True) -> None:
        self._progress = _drawn() if shown and sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def bar(self, name: str, size: int | None = None) -> Bar:
        if self._progress is None:
            return Bar(None, TaskID(0))
        return Bar(self._progress, self._progress.add_task(name, total=size, state=""))


def _drawn() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
        console=Console(stderr=True),
    )
