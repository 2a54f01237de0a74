"""From the settings of a run to all that is measured in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from smoltolk.common.errors import InputError
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.shards.parquet import ShardMetadata
from smoltolk.inference.part_files import read_part
from smoltolk.inference.speakers import Speaker, speaker_of
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.vocoders.kinds import load_vocoder
from smoltolk.training.loop.run_loop import RunLoop, distinct_name
from smoltolk.training.loop.settings import Logging
from smoltolk.training.loop.splitting import split
from smoltolk.training.loop.stage_loop import Measure

# Question sets, questions of each kind, tokenizer: the measure that asks them.
Asker = Callable[[Sequence[str], int, Any], Measure]


class Opened(NamedTuple):
    """What a run trains on, and what happens meanwhile."""

    speech: AlignedCorpus
    text: AlignedCorpus | None
    loop: RunLoop


def open_loop(
    settings: Logging,
    *,
    speech: AlignedCorpus,
    text: AlignedCorpus | None,
    units: ShardMetadata,
    row_length: int,
    tokenizer: Any,
    folder: Path,
    name: str,
    command: Mapping[str, Any],
    ask: Asker | None = None,
) -> Opened:
    """Hold out, load what is asked and what speaks, and begin to listen.

    Args:
        settings: of the run.
        speech, text: all that there is to train on.
        units: what the shards are.
        row_length: ids of a row.
        tokenizer: of the text.
        folder: for the log and what is kept.
        name, command: of the run, for loggers, who tell it from others of that name.
        ask: makes a measure of question sets.

    Raises:
        NotFoundError, InputError, MissingExtraError: something is not there, made for other units, or not installed.
    """
    parts = split(settings, speech, text, tokenizer, units.fingerprint, row_length)
    if settings.cloze and ask is None:
        raise InputError("question sets need somebody who asks them", "ask = None", "give `cloze_measure`")
    measures = [ask(settings.cloze, settings.cloze_items, tokenizer)] if settings.cloze and ask is not None else []
    loop = RunLoop(
        settings=settings,
        folder=folder,
        name=distinct_name(name, folder, command),
        command=command,
        tokenizer=tokenizer,
        measures=measures,
        speech=parts.held_speech,
        text=parts.held_text,
        speaker=None if settings.vocoder is None else _speaker(settings.vocoder, units),
    )
    return Opened(parts.speech, parts.text, loop)


def _speaker(place: str, units: ShardMetadata) -> Speaker | None:
    part = read_part(place)
    if part is not None and part.fingerprint != units.fingerprint:
        raise InputError(
            "samples are said by a vocoder of the units that are trained",
            f"{place}: for units {part.fingerprint[:16]}, the shards have {units.fingerprint[:16]}",
            "name the vocoder of these units, or their codec",
        )
    codec = part is not None and part.is_codec
    return speaker_of(load_unit_tokenizer(place) if codec else load_vocoder(place, units.fingerprint))
