"""Text-to-speech models of transformers (VITS and MMS, SpeechT5, ...); an aligner finds the words in what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import SpeechT5HifiGan, pipeline
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_TEXT_TO_SPECTROGRAM_MAPPING_NAMES,
    MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING_NAMES,
)

from smoltolk.common.devices import chosen_device
from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.seeds import derive, generator
from smoltolk.speech.alignment.aligners import Aligner
from smoltolk.speech.audio import SAMPLE_RATE, num_samples, resample
from smoltolk.speech.pretrained import loading
from smoltolk.speech.synthesis.spoken import PAUSE_SECONDS, Spoken, check_says_something, said_form, sentences

_WHAT = "a text-to-speech model of transformers"
_SPEAKING = {*MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING_NAMES.values(), *MODEL_FOR_TEXT_TO_SPECTROGRAM_MAPPING_NAMES.values()}
_LONGEST_SENTENCE = 300  # characters: these models were trained on sentences
_UNSEEN_EVERY = 4  # one speaker of four is kept for tests


@dataclass(frozen=True, slots=True)
class ModelVoice:
    """A way to speak.

    Args:
        speaker: number of a speaker of the model.
        seed: of everything that the model draws by chance (lengths, noise).
    """

    speaker: int = 0
    seed: int = 0

    @property
    def name(self) -> str:
        """``speaker-seed``."""
        return f"speaker{self.speaker}-{self.seed}"


class ModelSynthesizer:
    """Text to speech by a model; the same text and voice give the same samples on the same machine.

    Args:
        name: hub id or directory of a model that the text-to-speech pipeline of transformers takes.
        aligner: finds the words in the speech; also rejects speech that does not say its text.
        language: of the texts, ISO 639-1; numbers are spelled out in it for the model.
        speakers: .npy of speaker embeddings, float [speakers, size], for a model that takes them (SpeechT5).
        vocoder: hub id or directory of the SpeechT5HifiGan of a model that writes spectrograms; by default the one of
            the hub.
        device: of torch; default: a GPU if there is one.
        lowest_confidence: speech with a lower one does not say its text; default: the aligner's.

    Raises:
        NotFoundError, InputError: no such model, or its parts do not fit.
    """

    sample_rate = SAMPLE_RATE
    workers: int | None = 0  # the model uses all processors, or the GPU

    def __init__(
        self,
        name: str,
        aligner: Aligner,
        *,
        language: str = "en",
        speakers: Path | str | None = None,
        vocoder: str | None = None,
        device: str | None = None,
        lowest_confidence: float | None = None,
    ):
        self.name = str(name)
        self._aligner, self._language = aligner, language
        self._lowest = aligner.lowest_confidence if lowest_confidence is None else lowest_confidence
        options: dict[str, Any] = {}
        if vocoder is not None:
            with loading(vocoder, "a SpeechT5HifiGan"):
                options["vocoder"] = SpeechT5HifiGan.from_pretrained(vocoder).to(chosen_device(device))
        with loading(self.name, _WHAT):
            self._pipeline: Any = pipeline("text-to-speech", model=self.name, device=chosen_device(device), **options)
        made = type(self._pipeline.model).__name__
        if made not in _SPEAKING:  # the pipeline takes any model, and fills what it lacks with chance
            raise InputError(f"{self.name!r} must be {_WHAT}", made, "name a model that speaks")
        self._pipeline.model.eval()
        self._embeddings = None if speakers is None else _read_embeddings(Path(speakers))
        config = self._pipeline.model.config
        self._told_speaker = int(getattr(config, "num_speakers", 1) or 1) > 1
        size = getattr(config, "speaker_embedding_dim", None) if config.model_type == "speecht5" else None
        found = None if self._embeddings is None else self._embeddings.shape[1]
        if size != found:
            raise InputError(
                f"{self.name} takes speaker embeddings of {size} numbers" if size else f"{self.name} takes none",
                f"{found} numbers a speaker" if found else "none",
                "give it a .npy of them [speakers, numbers]" if size else "leave them out",
            )
        self.num_speakers = (
            len(self._embeddings) if self._embeddings is not None else int(getattr(config, "num_speakers", 1) or 1)
        )

    def speak(self, text: str, voice: ModelVoice) -> Spoken:
        """Speak one or several sentences, each followed by a short pause.

        Args:
            text: in the language of the model.
            voice: the way to speak it.

        Returns:
            Speech of 16 kHz with its words; with phones if the aligner finds them.

        Raises:
            InputError: nothing to say, letters that the model does not have, no such speaker, or speech in which the
                aligner does not find the text.
        """
        check_says_something(text, self._language)
        if not 0 <= voice.speaker < self.num_speakers:
            wrong = f"speaker {voice.speaker} of {self.num_speakers}"
            raise InputError("a voice names a speaker of its model", wrong, "choose a lower number")
        pause = np.zeros(num_samples(PAUSE_SECONDS), np.float32)
        parts: list[np.ndarray] = []
        for sentence in sentences(text.split(), _LONGEST_SENTENCE, self._language):
            parts += [self._say(said_form(sentence)[0], voice), pause]
        waveform = np.concatenate(parts)
        found = self._aligner.align(waveform, text)
        if found.confidence < self._lowest:
            raise InputError(
                f"speech must say its text: a confidence of {self._lowest:g} at least",
                f"{found.confidence:.2f}",
                "try another seed, or write the text in another way",
            )
        return Spoken(waveform, SAMPLE_RATE, found.words, found.phones)

    def num_voices(self, split: str) -> int:
        """How many speakers a split has."""
        return len(self._speakers_of(split))

    def voices(self, count: int, seed: int, split: str) -> Sequence[ModelVoice]:
        """Different speakers.

        Args:
            count: how many.
            seed: of their order, and of what they draw by chance.
            split: ``"seen"`` or ``"unseen"`` (every fourth speaker).

        Raises:
            InputError: another split, or more than there are.
        """
        speakers = self._speakers_of(split)
        if not 0 <= count <= len(speakers):
            found = f"{count} of {self.num_speakers} speakers"
            raise InputError(f"the split {split!r} has 0 to {len(speakers)} voices", found, "ask for fewer")
        order = generator(seed, "speakers", split).permutation(len(speakers))
        return [ModelVoice(speakers[place], seed) for place in order[:count]]

    def _speakers_of(self, split: str) -> list[int]:
        if split not in ("seen", "unseen"):
            raise InputError("a split of voices is 'seen' or 'unseen'", repr(split), "choose one of the two")
        last = _UNSEEN_EVERY - 1
        return [one for one in range(self.num_speakers) if (one % _UNSEEN_EVERY == last) == (split == "unseen")]

    def _say(self, text: str, voice: ModelVoice) -> np.ndarray:
        self._check_letters(text)
        options: dict[str, Any] = {}
        if self._embeddings is not None:
            options["speaker_embeddings"] = torch.from_numpy(self._embeddings[voice.speaker : voice.speaker + 1])
        elif self._told_speaker:
            options["speaker_id"] = voice.speaker
        devices = [self._pipeline.device] if self._pipeline.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(derive(voice.seed, "tts", text) % 2**63)
            made = self._pipeline(text, forward_params=options)
        waveform = np.atleast_1d(np.asarray(made["audio"], np.float32))
        if waveform.ndim != 1 or not np.isfinite(waveform).all():
            found = f"shape {waveform.shape}, {int((~np.isfinite(waveform)).sum())} samples not finite"
            raise InputError(f"{self.name} must give mono speech", found, "try another seed or model")
        return np.clip(resample(waveform, int(made["sampling_rate"]), SAMPLE_RATE), -1, 1)

    def _check_letters(self, text: str) -> None:
        """Tokenizers drop letters that they lack, or make them "unknown": the speech would lack them too."""
        tokenizer = self._pipeline.tokenizer
        if tokenizer is None:
            return
        ids = tokenizer(text)["input_ids"]
        if type(tokenizer).__name__ == "VitsTokenizer" and not tokenizer.phonemize:
            known = set("".join(tokenizer.get_vocab()))
            missing = [one for one in text if one.isalpha() and not {one, one.lower()} & known]
        else:
            unknown = tokenizer.unk_token_id
            missing = [
                one for one in text if one.isalpha() and unknown is not None and unknown in tokenizer(one)["input_ids"]
            ]
            missing = missing if unknown in ids else []
        if missing or not len(ids):
            found = f"not {', '.join(dict.fromkeys(missing))!r} in {text!r}" if missing else repr(text)
            raise InputError(f"{self.name} must have the letters of a text", found, "write it in its letters")


def _read_embeddings(path: Path) -> np.ndarray:
    if not path.is_file():
        raise NotFoundError("speaker embeddings are a .npy file", f"no file {path}", "check the path")
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise InputError(f"{path} must be a .npy file of numbers", str(error), "write it with numpy.save") from error
    if found.ndim != 2 or not len(found) or not np.isfinite(found).all():
        raise InputError(
            "speaker embeddings are finite [speakers, numbers]", f"shape {found.shape}", "correct the file"
        )
    return found.astype(np.float32)
