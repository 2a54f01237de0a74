"""One id space for text and speech: ids alone say which modality a position has."""

from __future__ import annotations

from dataclasses import dataclass

from smoltolk.common.errors import InputError


@dataclass(frozen=True, slots=True)
class IdSpace:
    """Where each kind of id lies.

    ::

        0 .. text ids .. | begin_prompt, end_prompt, switch | padding rows | units 0..K-1 | eos_speech | pad_speech
                                                       speech_offset ^

    ``speech_offset`` is stored, never derived, so that a resized text table cannot move unit ids.

    With several codebooks a frame, these ids carry the first one; the others ride beside them as plain units (see
    :mod:`smoltolk.model.codec.codebooks`), and ``pad_speech`` stands where only the others still speak.

    Attributes:
        speech_offset: first speech id (V, the number of text ids with control ids and padding rows).
        num_units: K, distinct units of the codebook.
        begin_prompt, end_prompt, switch: control ids, all below ``speech_offset``.
        eos_text: end of sequence of the text tokenizer.
        delays: positions by which each codebook comes later than the first; as many as there are codebooks.
    """

    speech_offset: int
    num_units: int
    begin_prompt: int
    end_prompt: int
    switch: int
    eos_text: int
    delays: tuple[int, ...] = (0,)

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
                    f"{name} must be a text id, 0 <= id < speech_offset",
                    f"{name} = {value}, speech_offset = {self.speech_offset}",
                    "give the id that the tokenizer has for it",
                )

    @property
    def eos_speech(self) -> int:
        """End of a spoken sequence."""
        return self.speech_offset + self.num_units

    @property
    def pad_speech(self) -> int:
        """Padding among speech; never predicted, but where delayed codebooks follow the first: it has ended."""
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
        """V + U."""
        return self.speech_offset + self.num_speech_ids

    def is_speech(self, token_id: int) -> bool:
        """Whether one id is a speech id."""
        return token_id >= self.speech_offset
