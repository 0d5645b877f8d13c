"""The bars themselves, apart since their library takes a while to import."""

from collections.abc import Iterable, Iterator
from types import TracebackType

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

from overlayd.api.views import ImportView
from overlayd.cli.sources import Source, Transfer
from overlayd.cli.words import clean

RECEIVING = "receiving"
"""The daemon's stage in which the bar of what is sent says it all."""


class Bars(Transfer):
    """A bar for what is sent or comes, then one for each stage at the daemon, with rate and time left."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self._drawn = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=console or Console(stderr=True),
            transient=True,
        )
        self._stage = ""
        self._task: TaskID | None = None

    def __enter__(self) -> "Bars":
        self._drawn.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._drawn.stop()

    def sent(self, source: Source) -> Iterator[bytes]:
        """The source's bytes, as they go."""
        yield from self._counted(source.chunks, source.total_bytes, source.title)

    def came(self, chunks: Iterable[bytes], total_bytes: int, title: str) -> Iterator[bytes]:
        """Bytes from the daemon, as they come."""
        if self._task is not None:  # what the daemon had to do is done
            self._drawn.update(self._task, visible=False)
        yield from self._counted(chunks, total_bytes, title)

    def show(self, view: ImportView) -> None:
        """Draws how far the daemon is."""
        if view.stage == RECEIVING:
            return
        if view.stage != self._stage:
            if self._task is not None:
                self._drawn.remove_task(self._task)
            self._stage, self._task = (
                view.stage,
                self._drawn.add_task(clean(view.stage), total=None),
            )
        assert self._task is not None
        self._drawn.update(self._task, completed=view.done_bytes, total=view.total_bytes or None)

    def _counted(
        self, chunks: Iterable[bytes], total_bytes: int | None, title: str
    ) -> Iterator[bytes]:
        task = self._drawn.add_task(clean(title), total=total_bytes)
        for chunk in chunks:
            yield chunk
            self._drawn.advance(task, len(chunk))
        self._drawn.remove_task(task)
