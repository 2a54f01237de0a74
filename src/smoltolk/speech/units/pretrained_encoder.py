"""Any speech encoder of transformers, up to the layer whose states become units."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smoltolk.common.devices import device_of
from smoltolk.common.errors import InputError
from smoltolk.speech.audio import check_waveform
from smoltolk.speech.pretrained import load_model, plain_config
from smoltolk.speech.units.batching import ROWS, FrameWindow, batches, on_threads, plan_windows
from smoltolk.speech.units.conv_front import ConvFront, geometry
from smoltolk.speech.units.encoders import FrameEncoder, Reduce, too_short

WINDOW_SECONDS, OVERLAP_SECONDS = 30.0, 2.0
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Whose padded frames touch no others, given a mask. In others of the family (data2vec, conformer) they do.
_MASKED = {"hubert", "wavlm", "wav2vec2", "unispeech", "unispeech-sat", "wav2vec2-bert"}
_VARIANCE_FLOOR = 1e-7  # as wav2vec 2.0 normalises
# transformers' Seamless feature extractor: 10 ms hops of 25 ms, two of them a frame.
_FBANK_RECEPTIVE, _FBANK_STRIDE = 400 + 160, 320


class PretrainedEncoder(FrameEncoder):
    """Hidden states of one layer: HuBERT (also with further convolutions, as the 25 Hz one), WavLM, wav2vec 2.0, ...

    Layers above the chosen one are dropped. Models of the wav2vec 2.0 family read samples; wav2vec2-BERT reads the
    filter banks of its feature extractor. :mod:`smoltolk.speech.units.batching` says what keeps recordings apart, and
    :func:`~smoltolk.speech.units.batching.plan_windows` for how long ones are cut.

    Args:
        model: of transformers; taken over and changed.
        layer: of ``hidden_states``: 0 what enters the first layer, 1 what leaves it, and so on.
        normalize: samples of a recording to zero mean and unit variance first.
        dtype: ``"float32"``, or ``"bfloat16"``, which is faster and gives slightly other units.
        window_seconds, overlap_seconds: of the windows over long recordings.
        extractor: settings of the feature extractor of a model that reads features.

    Raises:
        InputError: a layer that the model does not have, or a model whose frames are not understood.
    """

    KIND = "transformers"
    kind = KIND

    def __init__(
        self,
        model: Any,
        layer: int,
        *,
        normalize: bool = False,
        dtype: str = "float32",
        window_seconds: float = WINDOW_SECONDS,
        overlap_seconds: float = OVERLAP_SECONDS,
        extractor: Mapping[str, Any] | None = None,
    ):
        if dtype not in _DTYPES:
            raise InputError("an encoder computes in float32 or bfloat16", f"{dtype!r}", "choose one of them")
        _truncate(model, layer)
        self.model = self.network = model.float().eval().requires_grad_(False)
        self.layer, self.normalize, self.dtype = layer, normalize, dtype
        self.window_seconds, self.overlap_seconds = window_seconds, overlap_seconds
        self._extractor: Any = None
        self._extractor_config = None if extractor is None else dict(extractor)
        if extractor is not None:
            from transformers import SeamlessM4TFeatureExtractor

            self._extractor = SeamlessM4TFeatureExtractor(**extractor)
            self.sample_rate = self._extractor.sampling_rate
            self.receptive, self.stride = _FBANK_RECEPTIVE, _FBANK_STRIDE
        else:
            self.sample_rate = 16_000
            kernels, strides = getattr(model.config, "conv_kernel", None), getattr(model.config, "conv_stride", None)
            if not kernels or not strides or not hasattr(getattr(model, "feature_extractor", None), "conv_layers"):
                raise InputError(
                    "an encoder must be of the wav2vec 2.0 family (HuBERT, WavLM, ...) or wav2vec2-BERT",
                    f"{type(model).__name__} is not",
                    "take such a one, or a codec with `smoltolk units fetch`",
                )
            self.receptive, self.stride = geometry(kernels, strides)
            model.feature_extractor = ConvFront(model.feature_extractor, kernels, strides).eval()
        self.frame_rate = self.sample_rate / self.stride
        self.dim = int(model.config.hidden_size)
        self.window = int(window_seconds * self.frame_rate)
        self.overlap = int(overlap_seconds * self.frame_rate)
        if not 0 <= self.overlap < self.window:
            raise InputError(
                "windows must be longer than their overlap", f"{window_seconds} and {overlap_seconds} s", "change them"
            )
        self.device = torch.device("cpu")
        self._model_config = plain_config(model.config)
        # What computes: the model itself, or a copy in another type beside its weights as published.
        self._running: Any = None

    @classmethod
    def from_pretrained(
        cls, name: str, layer: int, *, normalize: bool | None = None, dtype: str = "float32"
    ) -> PretrainedEncoder:
        """Load a published encoder, or a directory that transformers' ``save_pretrained`` wrote.

        Args:
            name: hub id or directory.
            layer: see the class.
            normalize: None: as its feature extractor says.
            dtype: see the class.

        Raises:
            NotFoundError: nothing there.
            InputError: not a speech encoder; or see the class.
        """
        model, settings = load_model(name, "a speech encoder")
        features = settings if model.main_input_name == "input_features" else None
        if features is not None:
            from transformers import SeamlessM4TFeatureExtractor

            features = SeamlessM4TFeatureExtractor(**features).to_dict()
            features = {key: value for key, value in features.items() if isinstance(value, int | float | str | bool)}
        said = bool(settings.get("do_normalize", False)) and features is None
        return cls(model, layer, normalize=said if normalize is None else normalize, dtype=dtype, extractor=features)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> PretrainedEncoder:
        """Of what :meth:`config` returned; weights are random."""
        from transformers import AutoConfig, AutoModel

        settings = dict(config["model"])
        model = AutoModel.from_config(AutoConfig.for_model(settings.pop("model_type"), **settings))
        options = {key: config[key] for key in ("normalize", "dtype", "window_seconds", "overlap_seconds", "extractor")}
        encoder = cls(model, config["layer"], **options)
        # As it was saved: what another version of transformers adds or drops must not change the fingerprint.
        encoder._model_config = dict(config["model"])
        return encoder

    def config(self) -> dict[str, Any]:
        return {
            "kind": self.KIND,
            "model": dict(self._model_config),
            "layer": self.layer,
            "normalize": self.normalize,
            "dtype": self.dtype,
            "window_seconds": self.window_seconds,
            "overlap_seconds": self.overlap_seconds,
            "extractor": self._extractor_config,
        }

    def to(self, device: str) -> None:
        self.device, self._running = device_of(device), None

    def _run(self) -> Any:
        """The model where and in the type that it computes in."""
        if self._running is None:
            if self.dtype == "float32" and self.device.type == "cpu":
                self._running = self.model
            else:
                self._running = copy.deepcopy(self.model).to(self.device, _DTYPES[self.dtype])
        return self._running

    def features(self, waveforms: Sequence[np.ndarray], reduce: Reduce | None = None) -> list[Tensor]:
        reduce = reduce or Tensor.float
        self._run()  # before threads may ask for it
        inputs: list[Tensor] = []
        jobs: list[tuple[int, FrameWindow]] = []
        for number, waveform in enumerate(waveforms):
            inputs.append(torch.from_numpy(self._checked(waveform)))
            frames = self.num_frames(len(waveform))
            jobs += [(number, window) for window in plan_windows(frames, self.window, self.overlap)]
        samples = [self._samples(inputs[number], window) for number, window in jobs]
        lengths = [window.last - window.first for _, window in jobs]
        if self.device.type == "cpu":
            states = on_threads(
                lambda job: reduce(self._alone(samples[job], lengths[job])[jobs[job][1].kept]),
                range(len(jobs)),
                lengths,
            )
        else:
            states = self._on_device(samples, lengths, [window for _, window in jobs], reduce)
        parts: list[list[Tensor]] = [[] for _ in waveforms]
        for (number, _), state in zip(jobs, states, strict=True):
            parts[number].append(state)
        return [torch.cat(part) for part in parts]

    def num_frames(self, num_samples: int) -> int:
        """Frames of a recording; a frame that the samples do not fill does not count."""
        return max(0, (num_samples - self.receptive) // self.stride + 1)

    def _checked(self, waveform: np.ndarray) -> np.ndarray:
        waveform = check_waveform(waveform)
        if len(waveform) < self.receptive:
            raise too_short(len(waveform), self.receptive)
        if self.normalize:
            # In float64, and over the whole recording: windows and devices see the same samples.
            exact = waveform.astype(np.float64)
            waveform = ((exact - exact.mean()) / np.sqrt(exact.var() + _VARIANCE_FLOOR)).astype(np.float32)
        return waveform

    def _samples(self, waveform: Tensor, window: FrameWindow) -> Tensor:
        """Samples under the frames of a window; the last one has what is left as well: it counts in statistics."""
        first, last = window.first * self.stride, (window.last - 1) * self.stride + self.receptive
        return waveform[first:] if len(waveform) - last < self.stride else waveform[first:last]

    def _inputs(self, samples: Tensor, frames: int) -> Tensor:
        """What the model reads of a window: its samples, or features ``[frames, bands]``."""
        if self._extractor is None:
            return samples
        made = self._extractor(samples.numpy(), sampling_rate=self.sample_rate, return_tensors="pt")
        return made["input_features"][0][:frames]  # without one that is half padding

    def _alone(self, samples: Tensor, frames: int) -> Tensor:
        """States ``[frames, dim]`` of one window."""
        inputs = self._inputs(samples, frames)[None].to(self.device, _DTYPES[self.dtype])
        states = self._run()(inputs, output_hidden_states=True).hidden_states[self.layer]
        return _whole(states[0], frames)

    @torch.inference_mode()
    def _on_device(
        self, samples: Sequence[Tensor], lengths: Sequence[int], windows: Sequence[FrameWindow], reduce: Reduce
    ) -> list[Tensor]:
        """``reduce`` of all windows: in padded batches, or one by one where padding would touch frames."""
        if self.model.config.model_type not in _MASKED:
            return [
                reduce(self._alone(one, length)[window.kept]).cpu()
                for one, length, window in zip(samples, lengths, windows, strict=True)
            ]
        states: dict[int, Tensor] = {}
        for rung, indices in batches(lengths, self.window):
            made = self._batch([self._inputs(samples[index], lengths[index]) for index in indices], rung)
            for row, index in enumerate(indices):
                states[index] = reduce(_whole(made[row, : lengths[index]], lengths[index])[windows[index].kept]).cpu()
        return [states[index] for index in range(len(samples))]

    def _batch(self, inputs: Sequence[Tensor], rung: int) -> Tensor:
        """States ``[ROWS, rung, dim]`` of padded rows."""
        model, of_samples = self._run(), self._extractor is None
        size = (rung - 1) * self.stride + self.receptive if of_samples else rung
        # Blank rows have one frame: attention over none would be undefined.
        sizes = [len(one) for one in inputs] + [self.receptive if of_samples else 1] * (ROWS - len(inputs))
        padded = inputs[0].new_zeros(ROWS, size, *inputs[0].shape[1:])
        for row, one in enumerate(inputs):
            padded[row, : len(one)] = one
        mask = (torch.arange(size)[None] < torch.tensor(sizes)[:, None]).long()
        front = model.feature_extractor if of_samples else None
        try:
            if front is not None:
                front.lengths = sizes
            made = model(
                padded.to(self.device, _DTYPES[self.dtype]),
                attention_mask=mask.to(self.device),
                output_hidden_states=True,
            )
        finally:
            if front is not None:
                front.lengths = None
        return made.hidden_states[self.layer]


def _truncate(model: Any, layer: int) -> None:
    """Drop the layers above the one whose states are wanted."""
    layers = getattr(getattr(model, "encoder", None), "layers", None)
    if layers is None:
        raise InputError(
            "an encoder must have encoder.layers", f"{type(model).__name__} has none", "take another model"
        )
    if not 0 <= layer <= len(layers):
        raise InputError(
            f"a layer of this encoder is a number from 0 to {len(layers)}", f"{layer}", "give another --layer"
        )
    keep = max(layer, 1)
    model.encoder.layers = layers[:keep]
    model.config.num_hidden_layers = keep
    for extra in ("adapter", "intermediate_ffn"):  # after the last layer
        if getattr(model, extra, None) is not None:
            setattr(model, extra, None)
    for flag in ("add_adapter", "use_intermediate_ffn_before_adapter"):
        if getattr(model.config, flag, False):
            setattr(model.config, flag, False)


def _whole(states: Tensor, frames: int) -> Tensor:
    if len(states) != frames:
        raise InputError(
            "an encoder must give the frames that its strides say", f"{len(states)}, not {frames}", "take another model"
        )
    return states
