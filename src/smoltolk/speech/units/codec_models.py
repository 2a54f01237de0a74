"""Neural codecs of transformers, called in one way: samples of one channel to codes, and codes to sound."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smoltolk.common.errors import InputError, MissingExtraError, first_line

LOUDNESS = 0.1  # root mean square of decoded sound, where codes say nothing of loudness: that of clear speech
_KNOWN = "Mimi, EnCodec, DAC, X-Codec, X-Codec 2, NeuCodec or the tokenizer of Higgs Audio v2"
_INPUTS = {"input_values", "input_features"}


class CodecModel:
    """A codec: every model of transformers whose ``encode`` gives ``audio_codes``, and whose ``decode`` takes them.

    - *Channels*: one for two channels hears the same in both, and its sound is their mean.
    - *Features*: one that reads filter banks beside samples has them from its own feature extractor.
    - *Loudness*: one that scales its input (EnCodec of 48 kHz) does so for every call, and its codes do not say by how
      much. Its sound comes back at :data:`LOUDNESS` over every call.
    - *Length*: one that cuts its input into pieces (EnCodec of 48 kHz: 1 s) is given one piece at a time.

    Attributes:
        sample_rate: of the samples it takes, Hz.
        hop: samples of a frame.
        sound_rate, sound_hop: of the samples that it gives back; other than those it takes in NeuCodec alone.
        codebook_size: codes of one codebook.
        longest: seconds of one call at most; infinite where it does not say.
        extractor: settings of its feature extractor; None where it reads samples alone.

    Args:
        model: of transformers.
        extractor: settings of its feature extractor, see :func:`feature_settings`; None: those it has by default.
            Left out if it needs none.

    Raises:
        InputError: not such a model.
        MissingExtraError: it needs a library that is not installed.
    """

    def __init__(self, model: Any, extractor: Mapping[str, Any] | None = None):
        _check(model)
        self.model = model.float().eval().requires_grad_(False)
        config = model.config
        self._takes = set(inspect.signature(model.encode).parameters)
        self.sample_rate = int(_first(config, "input_sampling_rate", "sampling_rate", "sample_rate"))
        self.hop = round(_first(config, "encoder_hop_length", "hop_length") or self.sample_rate / config.frame_rate)
        self.sound_rate = int(_first(config, "output_sampling_rate") or self.sample_rate)
        self.sound_hop = round(self.hop * self.sound_rate / self.sample_rate)
        self.codebook_size = int(_first(config, "codebook_size") or math.prod(config.quantization_levels))
        self.longest = float(_first(config, "chunk_length_s") or math.inf)
        settings = feature_settings(model)
        # As they were given, e.g. saved: what another version of transformers adds must not change them.
        self.extractor = settings if settings is None or extractor is None else dict(extractor)
        self._extractor = None if self.extractor is None else _extractor_of(model, self.extractor)
        if self._extractor is not None and self._extractor.sampling_rate != self.sample_rate:
            raise InputError(
                "a codec and its feature extractor must take samples of one rate",
                f"{self.sample_rate} and {self._extractor.sampling_rate} Hz",
                "take the preprocessor_config.json that was published with the codec",
            )
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Compute there from now on."""
        self.device = device
        self.model.to(device)

    @torch.inference_mode()
    def codes(self, samples: Tensor, frames: int, num_codebooks: int | None = None) -> Tensor:
        """Codes int64 ``[frames, codebooks]``.

        Args:
            samples: float32 ``[frames * hop]``, on the CPU.
            frames: of these samples.
            num_codebooks: the first so many; None: all.

        Raises:
            InputError: the model gives another number of frames, or no codes.
        """
        options: dict[str, Any] = self._inputs(samples)
        for name in ("num_quantizers", "n_quantizers"):
            if name in self._takes and num_codebooks:
                options[name] = num_codebooks
        if "bandwidth" in self._takes:
            options["bandwidth"] = max(self.model.config.target_bandwidths)
        codes = getattr(self.model.encode(**options), "audio_codes", None)
        if codes is None:
            raise _no_codec(f"{type(self.model).__name__}: its encode gives no audio_codes")
        codes = codes.long()
        while codes.ndim > 2:  # one recording, the first piece: what is left is [codebooks, frames]
            codes = codes[0]
        # Feature extractors may add a frame of padding.
        if not frames <= codes.shape[1] <= frames + (self._extractor is not None):
            raise InputError(
                "a codec must give the frames that its hop says", f"{codes.shape[1]}, not {frames}", "take another"
            )
        # Codebooks refine each other in order: the first ones are the same with fewer.
        return codes[:num_codebooks, :frames].T

    @torch.inference_mode()
    def sound(self, codes: Tensor) -> np.ndarray:
        """Sound float32 ``[frames * sound_hop]`` of codes ``[frames, codebooks]``."""
        held = codes.T[None].to(self.device)
        options: dict[str, Any] = {}
        if "audio_scales" in inspect.signature(self.model.decode).parameters:
            scaled = getattr(self.model.config, "normalize", False)
            held = held[None]
            options["audio_scales"] = [torch.full((1, 1), LOUDNESS, device=self.device) if scaled else None]
        made = self.model.decode(audio_codes=held, **options).audio_values
        made = made.reshape(-1, made.shape[-1]).mean(0).float().cpu().numpy()  # of [channels, samples]
        wanted = len(codes) * self.sound_hop
        return np.pad(made, (0, max(0, wanted - len(made))))[:wanted]

    def _inputs(self, samples: Tensor) -> dict[str, Any]:
        if self._extractor is None:
            channels = getattr(self.model.config, "audio_channels", None) or 1
            return {"input_values": samples.expand(1, channels, -1).to(self.device)}
        made = self._extractor(samples.numpy(), sampling_rate=self.sample_rate, return_tensors="pt")
        return {name: value.to(self.device) for name, value in made.items() if name in self._takes}


def feature_settings(model: Any, given: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """All settings of a codec's feature extractor, as JSON takes them; None if it reads samples alone.

    Args:
        model: of transformers.
        given: those that are not as by default.

    Raises:
        InputError: it reads features, and transformers has no extractor for it.
        MissingExtraError: the extractor needs a library that is not installed.
    """
    encode = getattr(model, "encode", None)
    if not callable(encode) or "input_features" not in inspect.signature(encode).parameters:
        return None
    settings = _extractor_of(model, given or {}).to_dict().items()
    return {key: value for key, value in settings if isinstance(value, int | float | str | bool)}


@contextmanager
def libraries_of(what: str) -> Iterator[None]:
    """Say which library is missing, where transformers notices it on building a model.

    Raises:
        MissingExtraError: one is.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs libraries of its own", first_line(error), "install what it names (`pip install torchaudio`)"
        ) from error


def _extractor_of(model: Any, settings: Mapping[str, Any]) -> Any:
    from transformers.models.auto.feature_extraction_auto import FEATURE_EXTRACTOR_MAPPING

    kind = type(model).__name__
    if type(model.config) not in FEATURE_EXTRACTOR_MAPPING:
        raise _no_codec(f"{kind}: it reads features, and transformers knows no feature extractor for it")
    with libraries_of(kind):
        return FEATURE_EXTRACTOR_MAPPING[type(model.config)](**settings)


def _check(model: Any) -> None:
    config, problem = model.config, None
    if not callable(getattr(model, "encode", None)) or not callable(getattr(model, "decode", None)):
        problem = "it has no encode and decode"
    elif _first(config, "codebook_size") is None and not _first(config, "quantization_levels"):
        problem = "its config names no codebook, so its frames are no units"
    else:
        parameters = inspect.signature(model.encode).parameters.values()
        needed = [one.name for one in parameters if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]
        channels = getattr(config, "audio_channels", None) or 1
        if "input_values" not in needed or not set(needed) <= _INPUTS:
            problem = f"its encode needs {', '.join(needed)}"
        elif channels > 2:
            problem = f"it is for {channels} channels"
    if problem:
        raise _no_codec(f"{type(model).__name__}: {problem}")


def _no_codec(found: str) -> InputError:
    return InputError(
        "a codec turns samples of one or two channels into units of codebooks, and back",
        found,
        f"take {_KNOWN}, e.g. kyutai/mimi",
    )


def _first(config: Any, *names: str) -> Any:
    """The first of these settings that has a value."""
    return next((value for value in (getattr(config, name, None) for name in names) if value), None)
