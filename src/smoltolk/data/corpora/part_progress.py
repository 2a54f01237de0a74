"""How far the parts of a corpus are while worker processes make them: a long recording takes minutes by itself."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from types import TracebackType

from smoltolk.common.progress import Bar, ProgressFile, Reached

_LOOK_EVERY_SECONDS = 0.5


class PartsProgress:
    """Follows the files in which parts tell how far they are, and tells a bar, until the block is left.

    Args:
        bar: counts what parts count.
    """

    def __init__(self, bar: Bar):
        self._reached = Reached(bar)
        self._whole: dict[Path, float] = {}
        self._lock, self._end = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> PartsProgress:
        self._directory = tempfile.TemporaryDirectory(prefix="smoltolk-")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        self._directory.cleanup()

    def file(self, part: int) -> Path:
        """Where a part reports, through :class:`smoltolk.common.progress.ProgressFile`."""
        return Path(self._directory.name) / str(part)

    def complete(self, part: int, count: float) -> None:
        """A part is done, and counts so many."""
        with self._lock:
            self._whole[self.file(part)] = count
        self._look()

    def _follow(self) -> None:
        while not self._end.wait(_LOOK_EVERY_SECONDS):
            self._look()

    def _look(self) -> None:
        with self._lock:
            done, note = sum(self._whole.values()), None
            for path in Path(self._directory.name).iterdir():
                if path not in self._whole:
                    count, text = ProgressFile(path).read()
                    done, note = done + count, text or note
            self._reached(done, note)
