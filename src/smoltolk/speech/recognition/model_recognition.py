"""Speech recognisers of transformers as judges: Whisper, CTC models and others, all greedily."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import AutoConfig, pipeline
from transformers.models.auto.modeling_auto import MODEL_FOR_CTC_MAPPING_NAMES

from smoltolk.common.devices import chosen_device
from smoltolk.speech.audio import SAMPLE_RATE, check_waveform, num_samples, resample
from smoltolk.speech.pretrained import loading
from smoltolk.speech.recognition.ctc_emissions import CtcEmissions
from smoltolk.speech.recognition.ctc_text import CtcVocabulary

_SHORTEST_SECONDS = 0.1  # less is no word, and no frame of most models
_WHAT = "a speech recogniser of transformers"


class ModelRecogniser:
    """Speech to text by a model of transformers.

    Args:
        name: hub id or directory.
        language: of the speech, ISO 639-1; told to multilingual Whisper.
        device: of torch; default: a GPU if there is one.
        batch_size: recordings of Whisper, or windows of a CTC model, that are computed together; other models hear
            one recording at a time, so that none hears another one's padding.

    Raises:
        NotFoundError, InputError: no such model, or not one that recognises speech.
    """

    def __init__(self, name: str, language: str = "en", device: str | None = None, batch_size: int = 8):
        self.name = str(name)
        with loading(self.name, _WHAT):
            config = AutoConfig.from_pretrained(self.name)
        kind = _Ctc if config.model_type in MODEL_FOR_CTC_MAPPING_NAMES else _Pipeline
        self._hear: _Ctc | _Pipeline = kind(self.name, language, device, batch_size)

    def transcribe_batch(self, waveforms: Sequence[np.ndarray], sample_rate: int = SAMPLE_RATE) -> list[str]:
        """What is heard in each waveform.

        Args:
            waveforms: float [samples] each, of any length; nothing is heard in less than 0.1 s.
            sample_rate: of the waveforms.

        Raises:
            InputError: samples that are not finite.
        """
        heard = [""] * len(waveforms)
        audible = [k for k, one in enumerate(waveforms) if len(one) >= num_samples(_SHORTEST_SECONDS, sample_rate)]
        for number in audible:
            check_waveform(waveforms[number])
        answers = self._hear([np.asarray(waveforms[number], np.float32) for number in audible], sample_rate)
        for number, text in zip(audible, answers, strict=True):
            heard[number] = text
        return heard


class _Ctc:
    """The likeliest letter of every frame."""

    def __init__(self, name: str, language: str, device: str | None, batch_size: int):
        self._emissions = CtcEmissions(name, device, batch_size)
        self._vocabulary = CtcVocabulary(self._emissions.tokenizer, language)

    def __call__(self, waveforms: list[np.ndarray], sample_rate: int) -> list[str]:
        found = self._emissions(waveforms, sample_rate)
        return [self._vocabulary.decode(one.argmax(axis=1).tolist(), self._emissions.blank) for one in found]


class _Pipeline:
    """Whatever else transformers recognises speech with."""

    def __init__(self, name: str, language: str, device: str | None, batch_size: int):
        with loading(name, _WHAT):
            self._pipeline: Any = pipeline("automatic-speech-recognition", model=name, device=chosen_device(device))
        self._rate = int(self._pipeline.feature_extractor.sampling_rate)
        self._options: dict[str, Any] = {"num_beams": 1, "do_sample": False}
        if self._pipeline.type == "tdt":  # transducers have a way of their own
            self._options = {}
        # Whisper hears 30 s, whatever is in them, so recordings can lie side by side.
        whisper = self._pipeline.type == "seq2seq_whisper"
        self._window = int(self._pipeline.feature_extractor.n_samples) if whisper else 0
        self._batch_size = batch_size
        if whisper and getattr(self._pipeline.model.generation_config, "is_multilingual", False):
            self._options |= {"language": language, "task": "transcribe"}

    def __call__(self, waveforms: list[np.ndarray], sample_rate: int) -> list[str]:
        inputs = [resample(one, sample_rate, self._rate) for one in waveforms]
        heard = [""] * len(inputs)
        short = [number for number, one in enumerate(inputs) if len(one) <= self._window]
        raw = [self._input(inputs[number]) for number in short]
        answers = self._pipeline(raw, batch_size=self._batch_size, generate_kwargs=dict(self._options)) if raw else []
        for number, answer in zip(short, answers, strict=True):
            heard[number] = answer["text"].strip()
        for number in sorted(set(range(len(inputs))) - set(short)):
            # Longer ones Whisper hears window by window, and finds the next by the times that it writes itself.
            more = {"return_timestamps": True} if self._window else {}
            answer = self._pipeline(self._input(inputs[number]), generate_kwargs=dict(self._options), **more)
            heard[number] = answer["text"].strip()
        return heard

    def _input(self, waveform: np.ndarray) -> dict[str, Any]:
        return {"raw": waveform, "sampling_rate": self._rate}
