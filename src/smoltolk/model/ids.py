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

    Attributes:
        speech_offset: first speech id (V, the number of text ids with control ids and padding rows).
        num_units: K, distinct units of the codebook.
        begin_prompt, end_prompt, switch: control ids, all below ``speech_offset``.
        eos_text: end of sequence of the text tokenizer.
    """

    speech_offset: int
    num_units: int
    begin_prompt: int
    end_prompt: int
    switch: int
    eos_text: int

    def __post_init__(self) -> None:
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
        """Padding among speech; never predicted."""
        return self.speech_offset + self.num_units + 1

    @property
    def num_speech_ids(self) -> int:
        """U: units, end and padding."""
        return self.num_units + 2

    @property
    def size(self) -> int:
        """V + U."""
        return self.speech_offset + self.num_speech_ids

    def is_speech(self, token_id: int) -> bool:
        """Whether one id is a speech id."""
        return token_id >= self.speech_offset
