"""What a run warns of while it trains: rows that do not come, a device that waits, data seen too often."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from smoltolk.training.loop.speed import Clock

STALLED_SECONDS = 30.0
WAITING_SHARE = 0.2
MANY_EPOCHS = 16  # arXiv 2305.16264: four repetitions are nearly as good as new data, after sixteen little is gained
_LOOK_EVERY_SECONDS = 5.0

Warn = Callable[[str], None]


class LoaderWatch:
    """Warns, once each, of a loader that stalls; from a thread of its own, for the main one waits for the rows.

    Args:
        clock: of the training.
        warn: is told.
        seconds: that rows may take.
        every: seconds between two looks.
    """

    def __init__(self, clock: Clock, warn: Warn, seconds: float = STALLED_SECONDS, every: float = _LOOK_EVERY_SECONDS):
        self._clock, self._warn, self._seconds, self._every = clock, warn, seconds, every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> LoaderWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        told: float | None = None
        while not self._ended.wait(self._every):
            waited = self._clock.waiting()
            if waited is None or waited < self._seconds:
                told = None
            elif told is None:
                told = waited
                self._warn(
                    f"no rows for {waited:.0f} s: the loader stalls. Is the disk or network that holds the shards"
                    " there, and are the workers alive?"
                )


def waiting_told(stepped: float, waited: float, is_gpu: bool) -> str | None:
    """What is to be said where much of the time went into waiting for rows; None: nothing.

    Args:
        stepped, waited: seconds of steps, and of waiting.
        is_gpu: whether a GPU waits.
    """
    share = waited / (stepped + waited) if stepped + waited else 0.0
    if share < WAITING_SHARE:
        return None
    who = "the GPU waits" if is_gpu else "steps wait"
    return (
        f"{who} for rows {100 * share:.0f}% of the time: use faster storage, more processes a device, or longer steps"
    )


def repetition_told(epochs: Mapping[str, float], stage: str) -> str | None:
    """What is to be said where a stage sees its data very often; None: nothing.

    Args:
        epochs: of each task, how often it sees its data.
        stage: its name.
    """
    often = {task: count for task, count in epochs.items() if count > MANY_EPOCHS}
    if not often:
        return None
    told = ", ".join(f"{task} {count:,.0f} times" for task, count in often.items())
    return f"{stage} sees its data too often ({told}); beyond {MANY_EPOCHS} times little is learnt: give it more data"
