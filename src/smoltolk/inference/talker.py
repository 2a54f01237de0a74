"""Talk with a model: speech or text in, speech or text out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document, recognition_prompt, synthesis_prompt
from smoltolk.data.rows.plain_tokens import plain_ids
from smoltolk.data.rows.prompts import mixed_prompt
from smoltolk.inference.generation import Generation, Sampling, generate, to_text, to_units
from smoltolk.inference.parts import load_parts
from smoltolk.inference.speakers import Speaker, check_speaker, most_units, speaker_of
from smoltolk.speech.units.tokenizer import UnitTokenizer


class Talker:
    """A model with what it needs to hear and to speak.

    Args:
        model: a SmolTolk model.
        tokenizer: of its text.
        units: waveforms to units; None: it cannot hear.
        vocoder: units to waveforms, of several codebooks their codec; None: it speaks if its units are such a codec.

    Attributes:
        ended: whether the last thing made came to an end by itself; what did not was cut off, and is seldom worth much.

    Raises:
        InputError: a tokenizer that is longer than the model's text table, or a vocoder that cannot say its units.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        units: UnitTokenizer | None = None,
        vocoder: Speaker | UnitTokenizer | None = None,
    ):
        self.model, self.tokenizer, self.units, self.vocoder = model, tokenizer, units, speaker_of(vocoder, units)
        self.space, self.ended = model.config.id_space, True
        self.space.check_tokenizer(tokenizer)
        if self.vocoder is not None:
            check_speaker(self.space, self.vocoder)

    @classmethod
    def load(cls, model: Path | str, units: Path | str | None = None, vocoder: Path | str | None = None) -> Talker:
        """Load all parts; what does not belong together is told before anything large is loaded.

        Args:
            model: a directory as ``smoltolk train`` writes it, or a hub id.
            units, vocoder: directories. A codec of several codebooks is both, and need be named but once.

        Raises:
            NotFoundError: no units or vocoder there.
            InputError: no such model, or parts made for other units.
        """
        return cls(*load_parts(model, units, vocoder))

    @property
    def hearing_rate(self) -> int:
        """Samples per second of what it hears."""
        return self._held().sample_rate

    @property
    def speaking_rate(self) -> int:
        """Samples per second of what it says."""
        return self._speaker().sample_rate

    def hear(self, waveform: np.ndarray) -> str:
        """Write down what is said.

        Args:
            waveform: float32 [samples] at the rate of the units.
        """
        units = self._encode(waveform)
        # Letters, of which some tokenizers make tokens, are more than frames of a slow codec.
        made = self._generate(recognition_prompt(self.space, units), False, 2 * len(units) + 32)
        return to_text(made, self.tokenizer)

    def strangeness(self, waveform: np.ndarray) -> float | None:
        """How far a recording is from those that the units were learnt for, see ``UnitTokenizer.strangeness``."""
        return self._held().strangeness(waveform)

    def say(self, text: str, *, sampling: Sampling | None = None, seed: int = 0) -> np.ndarray:
        """Speak a text.

        Args:
            text: at least a word.
            sampling: None for the most likely unit at every step.
            seed: of sampling and vocoder.

        Returns:
            float32 [samples] at the rate of the vocoder.

        Raises:
            InputError: no text, no vocoder, or the model says nothing.
        """
        most = most_units(text, self.space, self._speaker().frame_rate)
        made = self._generate(synthesis_prompt(self.space, self._tokens(text)), True, most, sampling, seed)
        return self._sound(made, seed)

    def go_on_speaking(
        self, prompt: str | np.ndarray, *, most: int, sampling: Sampling | None = None, seed: int = 0
    ) -> np.ndarray:
        """Continue what was read or heard, in speech.

        Args:
            prompt: a text, or float32 [samples] at the rate of the units.
            most: units of the continuation, of several codebooks frames.
            sampling: None for the most likely unit at every step.
            seed: of sampling and vocoder.

        Returns:
            float32 [samples] at the rate of the vocoder, without the prompt.

        Raises:
            InputError: nothing in the prompt, no units or vocoder where they are needed, or the model says nothing.
        """
        self._speaker()
        return self._sound(self._generate(self._prompt(prompt, True), True, most, sampling, seed), seed)

    def go_on_writing(
        self, prompt: str | np.ndarray, *, most: int, sampling: Sampling | None = None, seed: int = 0
    ) -> str:
        """Continue what was read or heard, in text; as :meth:`go_on_speaking`."""
        return to_text(self._generate(self._prompt(prompt, False), False, most, sampling, seed), self.tokenizer)

    def _prompt(self, prompt: str | np.ndarray, speak: bool) -> Document:
        segment = (False, self._tokens(prompt)) if isinstance(prompt, str) else (True, self._encode(prompt))
        return mixed_prompt(self.space, [segment], continue_in_speech=speak)

    def _generate(
        self, prompt: Document, speak: bool, most: int, sampling: Sampling | None = None, seed: int = 0
    ) -> Generation:
        end = self.space.eos_speech if speak else self.space.eos_text
        longest = self.model.config.max_position_embeddings
        if longest is not None:  # some count positions without an end
            room = longest - len(prompt) - (self.space.tail if speak else 0)  # where the last frame finishes
            if room < 1:
                raise InputError(
                    "a prompt must leave the model room to answer",
                    f"{len(prompt):,} ids, the model holds {longest:,}",
                    "give a shorter recording or text",
                )
            most = min(most, room)
        (made,) = generate(
            self.model,
            [prompt],
            end_id=end,
            pad_id=self.space.eos_text,
            max_new_tokens=most,
            sampling=sampling,
            seed=seed,
        )
        self.ended = made.ended
        return made

    def _held(self) -> UnitTokenizer:
        if self.units is None:
            raise InputError("hearing needs the units of the model", "no units", "name their directory")
        return self.units

    def _speaker(self) -> Speaker:
        if self.vocoder is None:
            raise InputError("speaking needs a vocoder, or the codec of the units", "none", "name its directory")
        return self.vocoder

    def _encode(self, waveform: np.ndarray) -> np.ndarray:
        units = self._held().encode([waveform])[0].units
        if len(units) == 0:
            raise InputError("a recording has a unit at least", f"{len(waveform)} samples", "give a longer one")
        return units

    def _tokens(self, text: str) -> list[int]:
        if not text.strip():
            raise InputError("a text needs a word", repr(text), "write something")
        self.space.check_tokenizer(self.tokenizer)  # again: words may have been added since
        return plain_ids(self.tokenizer, text)

    def _sound(self, made: Generation, seed: int) -> np.ndarray:
        units = to_units(made, self.space)
        if len(units) == 0:
            raise InputError(
                "there must be something to say",
                "the model ended at once",
                "try another prompt or seed, or train longer",
            )
        (waveform,) = self._speaker().synthesize_batch([units], seed=seed)
        return waveform
