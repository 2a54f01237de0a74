"""Any CTC model of transformers: recordings to posteriors of letters, in windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoFeatureExtractor, AutoModelForCTC, AutoTokenizer

from smoltolk.common.devices import chosen_device
from smoltolk.common.errors import InputError
from smoltolk.speech.audio import SAMPLE_RATE, check_waveform, num_samples, resample
from smoltolk.speech.pretrained import loading

# A recording of up to this length is one input of the model. A longer one is cut into windows of this length that
# overlap by two contexts; each frame is taken from the window in which it is further from an edge.
WINDOW_SECONDS, CONTEXT_SECONDS = 30.0, 2.0
# The model is asked for how many frames two lengths of silence have: the difference is a whole number of frames for
# strides of 2, 4, 8, ... 10 ms and 12.5 ms.
_PROBE_SAMPLES = (81_920, 163_840)
_SHORTEST_SAMPLES = 1_600  # silence is added to less: the first layers need some width
_HEADS = ("lm_head", "ctc_head")


class CtcEmissions:
    """Posteriors of the letters, or pieces of words, of a CTC model.

    A recording's posteriors depend on that recording alone: only windows of one length are computed together, because
    many of these models were trained without a mask and hear the padding.

    Args:
        name: hub id or directory of a model of ``AutoModelForCTC``, its feature extractor and its tokenizer.
        device: of torch; default: a GPU if there is one.
        batch_size: windows that are computed together.

    Attributes:
        tokenizer: of transformers.
        blank: the id that says nothing.
        hop: samples of :data:`audio.SAMPLE_RATE` from frame to frame.

    Raises:
        NotFoundError, InputError: no such model, or not one with CTC.
    """

    def __init__(self, name: str, device: str | None = None, batch_size: int = 8):
        self.name = str(name)
        with loading(self.name, "a CTC model with its feature extractor and tokenizer"):
            model, report = AutoModelForCTC.from_pretrained(self.name, dtype=torch.float32, output_loading_info=True)
            self._extractor: Any = AutoFeatureExtractor.from_pretrained(self.name)
            self.tokenizer: Any = AutoTokenizer.from_pretrained(self.name)
        untrained = [key for key in report["missing_keys"] if key.partition(".")[0] in _HEADS]
        if untrained:  # transformers fills them with chance
            fix = "name a model that was trained to write"
            raise InputError("a CTC model has a trained head", f"{self.name!r} has no {untrained[0]}", fix)
        self._device = torch.device(chosen_device(device))
        self._model = model.eval().to(self._device)
        self._batch_size = batch_size
        self.blank = int(self._model.config.pad_token_id)
        few, many = (len(self._run([np.zeros(size, np.float32)])[0]) for size in _PROBE_SAMPLES)
        self.hop, rest = divmod(_PROBE_SAMPLES[1] - _PROBE_SAMPLES[0], max(1, many - few))
        if rest or many == few:
            raise InputError(
                "a CTC model has as many frames a second everywhere",
                f"{self.name}: {few} and {many} frames for {_PROBE_SAMPLES[0]} and {_PROBE_SAMPLES[1]} samples",
                "name another model",
            )

    def __call__(self, waveforms: Sequence[np.ndarray], sample_rate: int = SAMPLE_RATE) -> list[np.ndarray]:
        """Logarithms of the posteriors of each recording, float32 [frames, vocabulary].

        Args:
            waveforms: float [samples] each.
            sample_rate: of the waveforms.

        Raises:
            InputError: a recording without samples, or with samples that are not finite.
        """
        for waveform in waveforms:
            check_waveform(waveform)
        waveforms = [resample(np.asarray(one, np.float32), sample_rate, SAMPLE_RATE) for one in waveforms]
        waveforms = [np.pad(one, (0, max(0, _SHORTEST_SAMPLES - len(one)))) for one in waveforms]
        plans = [self._plan(len(one)) for one in waveforms]
        windows = [
            (number, first, waveforms[number][first:last]) for number, plan in enumerate(plans) for first, last in plan
        ]
        order = sorted(range(len(windows)), key=lambda index: -len(windows[index][2]))
        found: dict[tuple[int, int], np.ndarray] = {}
        while order:
            length = len(windows[order[0]][2])
            batch = [index for index in order[: self._batch_size] if len(windows[index][2]) == length]
            order = order[len(batch) :]
            for index, one in zip(batch, self._run([windows[index][2] for index in batch]), strict=True):
                found[windows[index][:2]] = one
        return [self._stitch([(first, found[number, first]) for first, _ in plan]) for number, plan in enumerate(plans)]

    def _plan(self, length: int) -> list[tuple[int, int]]:
        """First and last sample of each window; a window begins with a frame."""
        window = num_samples(WINDOW_SECONDS) // self.hop * self.hop
        if length <= num_samples(WINDOW_SECONDS):
            return [(0, length)]
        step = window - 2 * (num_samples(CONTEXT_SECONDS) // self.hop * self.hop)
        last = (length - window) // self.hop * self.hop  # the last window is as long as the others, or a frame longer
        return [(first, first + window) for first in range(0, last, step)] + [(last, length)]

    def _stitch(self, parts: Sequence[tuple[int, np.ndarray]]) -> np.ndarray:
        """One row for every frame: windows meet in the middle of what they share."""
        firsts = [first // self.hop for first, _ in parts]
        ends = [first + len(part) for first, (_, part) in zip(firsts, parts, strict=True)]
        cuts = [0, *((end + first) // 2 for end, first in zip(ends, firsts[1:], strict=False)), ends[-1]]
        return np.concatenate(
            [
                part[begin - first : end - first]
                for first, (_, part), begin, end in zip(firsts, parts, cuts, cuts[1:], strict=False)
            ]
        )

    @torch.inference_mode()
    def _run(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        rate = self._extractor.sampling_rate
        resampled = [resample(one, SAMPLE_RATE, rate) for one in windows]
        inputs = self._extractor(resampled, sampling_rate=rate, return_tensors="pt").to(self._device)
        return list(self._model(**inputs).logits.float().log_softmax(-1).cpu().numpy())
