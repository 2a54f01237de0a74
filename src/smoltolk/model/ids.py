"""One id space for text and speech: ids alone say which modality a position has."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass

from smoltolk.common.errors import InputError

IGNORE = -100  # the label that torch's cross entropy and transformers leave out


@dataclass(frozen=True, slots=True)
class IdSpace:
    """Where each kind of id lies.

    ::

        0 .. text ids .. | spare rows | begin_prompt, end_prompt, switch | units 0..K-1 | eos_speech | pad_speech
             num_text_ids ^                              speech_offset ^

    ``speech_offset`` is stored, never derived, so that a resized text table cannot move unit ids. Spare rows round the
    text table up; nothing stands for them and nothing predicts them.

    With several codebooks a frame, these ids carry the first one; the others ride beside them as plain units (see
    :mod:`smoltolk.model.codec.codebooks`), and ``pad_speech`` stands where only the others still speak.

    Attributes:
        speech_offset: first speech id.
        num_units: K, distinct units of the codebook.
        begin_prompt, end_prompt, switch: control ids, all below ``speech_offset``.
        eos_text: end of sequence of the text tokenizer.
        delays: positions by which each codebook comes later than the first; as many as there are codebooks.
        num_text_ids: ids that the text model brought; None: all below the first control id.
    """

    speech_offset: int
    num_units: int
    begin_prompt: int
    end_prompt: int
    switch: int
    eos_text: int
    delays: tuple[int, ...] = (0,)
    num_text_ids: int | None = None

    def __post_init__(self) -> None:
        if not self.delays or self.delays[0] != 0 or min(self.delays) < 0:
            raise InputError(
                "the first codebook leads: delays are 0 for it and 0 or more for every other",
                f"{list(self.delays)}",
                "give one number a codebook, e.g. 0, 1, 2",
            )
        for name in ("begin_prompt", "end_prompt", "switch", "eos_text"):
            value = getattr(self, name)
            if not 0 <= value < self.speech_offset:
                raise InputError(
                    f"{name} must be below the speech ids, 0 <= id < speech_offset",
                    f"{name} = {value}, speech_offset = {self.speech_offset}",
                    "give the id that the model has for it",
                )
        if self.num_text_ids is None:
            object.__setattr__(self, "num_text_ids", self.first_control)
        if not self.eos_text < self.num_text <= self.first_control:
            raise InputError(
                "text ids come first, the end of text among them, then the control ids",
                f"eos_text = {self.eos_text}, num_text_ids = {self.num_text}, control ids from {self.first_control}",
                "give the ids that the model has",
            )

    @property
    def num_text(self) -> int:
        """``num_text_ids``, which is never None once the space is made."""
        return self.first_control if self.num_text_ids is None else self.num_text_ids

    @property
    def first_control(self) -> int:
        """The lowest control id; behind the text table, spare rows included."""
        return min(self.begin_prompt, self.end_prompt, self.switch)

    @property
    def eos_speech(self) -> int:
        """End of a spoken sequence."""
        return self.speech_offset + self.num_units

    @property
    def pad_speech(self) -> int:
        """Padding among speech; no label, but where delayed codebooks follow the first: it has ended."""
        return self.speech_offset + self.num_units + 1

    @property
    def num_speech_ids(self) -> int:
        """U: units, end and padding."""
        return self.num_units + 2

    @property
    def num_codebooks(self) -> int:
        """Q, units of a frame."""
        return len(self.delays)

    @property
    def tail(self) -> int:
        """Positions that a run of frames needs behind its last first-codebook unit."""
        return max(self.delays)

    @property
    def size(self) -> int:
        """All ids: the width of the logits."""
        return self.speech_offset + self.num_speech_ids

    def is_speech(self, token_id: int) -> bool:
        """Whether one id is a speech id."""
        return token_id >= self.speech_offset

    def check_tokenizer(self, tokenizer: Sized) -> None:
        """Refuse a tokenizer whose ids would be spare rows, control ids or units.

        Raises:
            InputError: it has more ids than the text model brought.
        """
        if len(tokenizer) > self.num_text:
            raise InputError(
                "a tokenizer has no more ids than the text model that it belongs to",
                f"{len(tokenizer)} ids in the tokenizer, {self.num_text} in the text model",
                "use the tokenizer that the model was made with; words are added before a model learns speech: "
                "text_model.resize_token_embeddings(len(tokenizer)), save both, then from_text_model or `train`",
            )
