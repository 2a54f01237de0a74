"""A corpus as lhotse's manifests, for every tool that reads them."""

from __future__ import annotations

import contextlib
import gzip
import json
import math
from pathlib import Path
from typing import IO, Any

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import atomic_directory, check_place
from smoltolk.common.lock import hold
from smoltolk.data.corpora.corpus import Counts, read_corpus
from smoltolk.data.corpora.utterances import Utterance
from smoltolk.speech.audio import measure

_DECIMALS = 8  # lhotse's own


def export_manifests(corpus: Path | str, out_dir: Path | str) -> Counts:
    """Write ``recordings.jsonl.gz`` and ``supervisions.jsonl.gz``; words and phones become alignments.

    Args:
        corpus: its recordings stay where they are, and are named by their absolute paths.
        out_dir: a new directory.

    Returns:
        how much was written; utterances without a recording are left out, and counted as rejected.

    Raises:
        NotFoundError: no corpus, or parts are missing.
        InputError: ``out_dir`` holds something, or a recording cannot be read.
    """
    out_dir = Path(out_dir)
    with hold(out_dir):
        check_place(out_dir)
        counts = Counts()
        with atomic_directory(out_dir) as directory, contextlib.ExitStack() as stack:
            recordings, supervisions = (
                stack.enter_context(gzip.open(directory / f"{name}.jsonl.gz", "wt", encoding="utf-8"))
                for name in ("recordings", "supervisions")
            )
            for utterance in read_corpus(corpus):
                if utterance.audio is None:
                    counts += Counts(0, 1)
                    continue
                recording = _recording(utterance.id, utterance.audio)
                _write(recordings, recording)
                _write(supervisions, _supervision(utterance, recording["channel_ids"]))
                counts += Counts(1, 0, utterance.seconds)
    return counts


def _recording(name: str, audio: Path) -> dict[str, Any]:
    try:
        extent = measure(audio)
    except (InputError, NotFoundError) as error:
        raise InputError(
            "every recording of a corpus must be readable", f"{audio}: {error}", "see what `corpus validate` says"
        ) from error
    channels = list(range(extent.num_channels))
    return {
        "id": name,
        "sources": [{"type": "file", "channels": channels, "source": str(audio.resolve())}],
        "sampling_rate": extent.sample_rate,
        "num_samples": extent.num_samples,
        "duration": round(extent.seconds, _DECIMALS),
        "channel_ids": channels,
    }


def _supervision(utterance: Utterance, channels: list[int]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": utterance.id,
        "recording_id": utterance.id,
        "start": 0.0,
        "duration": round(utterance.seconds, _DECIMALS),
        "channel": channels[0] if len(channels) == 1 else channels,
        "text": utterance.text,
        "language": utterance.language,
        "speaker": utterance.speaker,
        "custom": {"source": utterance.source},
    }
    sure = utterance.confidences or (math.nan,) * len(utterance.words)
    alignment = {
        "word": [_item(s.text, s.start, s.end, c) for s, c in zip(utterance.words, sure, strict=True)],
        "phone": [_item(s.text, s.start, s.end) for s in utterance.phones],
    }
    known = {name: items for name, items in alignment.items() if items}
    return {**row, "alignment": known} if known else row


def _item(symbol: str, start: float, end: float, confidence: float = math.nan) -> list[Any]:
    score = round(confidence, _DECIMALS) if math.isfinite(confidence) else None
    return [symbol, round(start, _DECIMALS), round(end - start, _DECIMALS), score]


def _write(file: IO[str], row: dict[str, Any]) -> None:
    file.write(json.dumps(row, ensure_ascii=False) + "\n")
