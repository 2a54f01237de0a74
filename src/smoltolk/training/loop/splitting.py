"""What is held out of a training: shards of one's own, or the last utterances and documents of what is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.index import aligned_shards
from smoltolk.data.rows.part import held_out_tail
from smoltolk.data.shards.shard_set import look_over
from smoltolk.training.loop.settings import Logging


@dataclass(frozen=True)
class Split:
    """Corpora of a run.

    Attributes:
        speech, text: trained on; text None: the utterances' own.
        held_speech, held_text: held out; None: nothing is, or the utterances' own text.
    """

    speech: AlignedCorpus
    text: AlignedCorpus | None
    held_speech: AlignedCorpus | None = None
    held_text: AlignedCorpus | None = None

    @property
    def told(self) -> str | None:
        """A line about it."""
        if self.held_speech is None:
            return None
        texts = "" if self.held_text is None else f" and {len(self.held_text):,} documents"
        return f"{len(self.held_speech):,} utterances{texts}"


def split(
    settings: Logging,
    speech: AlignedCorpus,
    text: AlignedCorpus | None,
    tokenizer: Any,
    fingerprint: str,
    row_length: int,
) -> Split:
    """Hold something out where there is validation.

    Args:
        settings: of the run.
        speech, text: all that there is to train on.
        tokenizer: of the text.
        fingerprint: of the units.
        row_length: ids of a row.

    Raises:
        NotFoundError, InputError: held-out shards that are not there, or of other units; too little to hold out of.
    """
    if settings.eval_steps is None:
        return Split(speech, text)
    if settings.held_out is not None:
        shards = look_over(Path(settings.held_out), fingerprint=fingerprint)
        return Split(speech, text, aligned_shards(shards, tokenizer))
    if len(speech) < 2 or (text is not None and len(text) < 2):
        raise InputError(
            "something is left to train on when the last utterances are held out",
            f"{len(speech)} utterances" + ("" if text is None else f", {len(text)} documents of text"),
            "give more, or held-out shards of their own (--held-out)",
        )
    wanted = settings.eval_rows * row_length
    trained, held = held_out_tail(speech, wanted, lambda number: int(speech.num_units[number]))
    if text is None:
        return Split(trained, None, held)
    trained_text, held_text = held_out_tail(text, wanted, lambda number: int(text.num_tokens[number]))
    return Split(trained, trained_text, held, held_text)
