"""Talk with a model: speech or text in, speech or text out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoTokenizer

from smoltolk.common.devices import best_device
from smoltolk.common.errors import InputError, first_line
from smoltolk.common.files import read_json
from smoltolk.common.hub import check_place
from smoltolk.data.rows.documents import recognition_prompt, synthesis_prompt
from smoltolk.data.rows.prompts import mixed_prompt
from smoltolk.evaluation.generation import Generation, Sampling, generate, to_text, to_units
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.units.tokenizer import UnitTokenizer
from smoltolk.speech.vocoders.kinds import Vocoder, load_vocoder


class Talker:
    """A model with what it needs to hear and to speak.

    Args:
        model: a SmolTolk model.
        tokenizer: of its text.
        units: waveforms to units; None: it cannot hear.
        vocoder: units to waveforms; None: it cannot speak.

    Attributes:
        ended: whether the last thing made came to an end by itself; what did not was cut off, and is seldom worth much.
    """

    def __init__(self, model: Any, tokenizer: Any, units: UnitTokenizer | None = None, vocoder: Vocoder | None = None):
        self.model, self.tokenizer, self.units, self.vocoder = model, tokenizer, units, vocoder
        self.ids, self.ended = model.config.id_space, True

    @classmethod
    def load(cls, model: Path | str, units: Path | str | None = None, vocoder: Path | str | None = None) -> Talker:
        """Load all parts and check that they belong together.

        Args:
            model: a directory as ``smoltolk train`` writes it, or a hub id.
            units, vocoder: directories.

        Raises:
            NotFoundError: no units or vocoder there.
            InputError: no such model, or parts made for other units.
        """
        loaded, tokenizer = load_model(model)
        held = None if units is None else load_unit_tokenizer(units)
        speaks = None if vocoder is None else load_vocoder(vocoder, None if held is None else held.fingerprint)
        for what, part in (("units", held), ("vocoder", speaks)):
            if part is not None:
                fingerprint = part.fingerprint if isinstance(part, UnitTokenizer) else part.unit_fingerprint
                check_units(model, loaded, what, fingerprint, part.num_units)
        return cls(loaded, tokenizer, held, speaks)

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
        made = self._generate(recognition_prompt(self.ids, units).input_ids, False, len(units) + 8)
        return to_text(made, self.tokenizer)

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
        prompt = synthesis_prompt(self.ids, self._tokens(text)).input_ids
        made = self._generate(prompt, True, 2 * len(text) + 32, sampling, seed)
        return self._sound(made, seed)

    def go_on_speaking(
        self, prompt: str | np.ndarray, *, most: int, sampling: Sampling | None = None, seed: int = 0
    ) -> np.ndarray:
        """Continue what was read or heard, in speech.

        Args:
            prompt: a text, or float32 [samples] at the rate of the units.
            most: units of the continuation.
            sampling: None for the most likely unit at every step.
            seed: of sampling and vocoder.

        Returns:
            float32 [samples] at the rate of the vocoder, without the prompt.

        Raises:
            InputError: nothing in the prompt, no units or vocoder where they are needed, or the model says nothing.
        """
        return self._sound(self._generate(self._prompt(prompt, True), True, most, sampling, seed), seed)

    def go_on_writing(
        self, prompt: str | np.ndarray, *, most: int, sampling: Sampling | None = None, seed: int = 0
    ) -> str:
        """Continue what was read or heard, in text; as :meth:`go_on_speaking`."""
        return to_text(self._generate(self._prompt(prompt, False), False, most, sampling, seed), self.tokenizer)

    def _prompt(self, prompt: str | np.ndarray, speak: bool) -> np.ndarray:
        segment = (False, self._tokens(prompt)) if isinstance(prompt, str) else (True, self._encode(prompt))
        return mixed_prompt(self.ids, [segment], continue_in_speech=speak).input_ids

    def _generate(
        self, prompt: np.ndarray, speak: bool, most: int, sampling: Sampling | None = None, seed: int = 0
    ) -> Generation:
        end = self.ids.eos_speech if speak else self.ids.eos_text
        longest = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if longest is not None:  # some count positions without an end
            if len(prompt) >= longest:
                raise InputError(
                    "a prompt must leave the model room to answer",
                    f"{len(prompt):,} ids, the model holds {longest:,}",
                    "give a shorter recording or text",
                )
            most = min(most, longest - len(prompt))
        (made,) = generate(
            self.model,
            [prompt],
            end_id=end,
            pad_id=self.ids.eos_text,
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

    def _speaker(self) -> Vocoder:
        if self.vocoder is None:
            raise InputError("speaking needs a vocoder", "none", "name its directory")
        return self.vocoder

    def _encode(self, waveform: np.ndarray) -> np.ndarray:
        return self._held().encode([waveform])[0].units

    def _tokens(self, text: str) -> list[int]:
        if not text.strip():
            raise InputError("a text needs a word", repr(text), "write something")
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _sound(self, made: Generation, seed: int) -> np.ndarray:
        units = to_units(made, self.ids)
        if len(units) == 0:
            raise InputError(
                "there must be something to say",
                "the model ended at once",
                "try another prompt or seed, or train longer",
            )
        return self._speaker().synthesize(units, seed=seed)


def load_model(name_or_path: Path | str) -> tuple[SmolTolkForCausalLM, Any]:
    """A SmolTolk model, on the GPU if there is one, and the tokenizer of its text.

    Raises:
        NotFoundError, InputError: no such model.
    """
    check_place(name_or_path, "a SmolTolk model")
    try:
        found = SmolTolkConfig.get_config_dict(str(name_or_path))[0].get("model_type")
        if found != SmolTolkConfig.model_type:
            raise ValueError(f"a model of type {found!r}")
        model = SmolTolkForCausalLM.from_pretrained(str(name_or_path)).eval()
        tokenizer = AutoTokenizer.from_pretrained(str(name_or_path))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            "a model is a directory that `smoltolk train` wrote",
            f"{str(name_or_path)!r}: {first_line(error)}",
            "name such a directory",
        ) from error
    return model.to(best_device()), tokenizer


def check_units(directory: Path | str, model: SmolTolkForCausalLM, what: str, fingerprint: str, num_units: int) -> None:
    """Refuse parts made for other units than the model's.

    Args:
        directory: of the model; where its configuration does not name the units, its ``training.json`` may.
        model: the model.
        what: for the message.
        fingerprint, num_units: of the units of the part.

    Raises:
        InputError: they differ.
    """
    known = Path(directory) / "training.json"
    wanted = model.config.unit_fingerprint
    if wanted is None and known.is_file():  # a model from before its configuration named them
        wanted = read_json(known).get("units", {}).get("fingerprint")
    if num_units != model.config.num_units or wanted not in (None, fingerprint):
        raise InputError(
            "a model hears and speaks the units that it was trained with",
            f"{what}: {num_units} units ({fingerprint[:16]}), model: {model.config.num_units}"
            + (f" ({wanted[:16]})" if wanted else ""),
            "name the units and the vocoder of this model",
        )
