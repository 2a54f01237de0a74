"""Units to waveform: a network writes a log-mel spectrogram, Griffin-Lim finds samples for it.

No part is adversarial, so a vocoder for your own units and voice trains in a minute on a laptop. Train it on
one voice: units carry no speaker, and the mean of sixteen voices is a blur.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from smoltolk.common.errors import InputError
from smoltolk.common.progress import Bar
from smoltolk.common.seeds import derive
from smoltolk.speech import features
from smoltolk.speech.fitting import check_same, fit, load_config, load_weights, one_thread, save_network
from smoltolk.speech.units import Units, UnitTokenizer, check_waveform, fingerprint_of
from smoltolk.speech.vocoder_crops import Batch, Crops
from smoltolk.speech.vocoder_network import DurationNetwork, MelNetwork, place_features


class Vocoder(nn.Module):
    """Deduplicated units to sound, in the voice it was trained on.

    Args:
        num_units: distinct units.
        frame_rate: of the units, Hz; must divide 100.
        unit_fingerprint: of the unit tokenizer that it belongs to.
        width: channels of the mel network.
    """

    KIND = "mel-griffin-lim"
    mel_mean: Tensor
    mel_scale: Tensor

    def __init__(self, num_units: int, frame_rate: float, unit_fingerprint: str, *, width: int = 160):
        super().__init__()
        hops_per_frame = features.HOP_RATE / frame_rate
        if hops_per_frame != int(hops_per_frame):
            raise InputError(
                "a frame of units must hold a whole number of hops of 10 ms",
                f"{frame_rate} frames per second",
                "use units at 25 or 50 Hz",
            )
        self.sample_rate = features.SAMPLE_RATE
        self.num_units, self.frame_rate, self.unit_fingerprint = num_units, frame_rate, unit_fingerprint
        self.mel_network = MelNetwork(num_units, int(hops_per_frame), width)
        self.duration_network = DurationNetwork(num_units)
        self.register_buffer("mel_mean", torch.zeros(features.NUM_MELS))
        self.register_buffer("mel_scale", torch.ones(()))
        self.eval()

    @property
    def fingerprint(self) -> str:
        """Hex digest of settings and weights."""
        return fingerprint_of(self._config(), self.state_dict())

    @one_thread()
    def synthesize(
        self, units: np.ndarray, durations: np.ndarray | None = None, seed: int = 0, *, iterations: int = 16
    ) -> np.ndarray:
        """Speak units.

        Args:
            units: int ``[n]``, deduplicated.
            durations: int ``[n]`` in frames; default: predicted.
            seed: of Griffin-Lim's first phases.
            iterations: of Griffin-Lim. A recogniser hears no difference from 4 on; time grows with them.

        Returns:
            float32 ``[samples]`` at 16 kHz in [-1, 1], exactly ``sum(durations) / frame_rate`` seconds.

        Raises:
            InputError: no units, a unit out of range, or durations that do not fit.
        """
        log_mel = self.log_mel(units, durations)
        return _samples(features.griffin_lim(log_mel[None], iterations=iterations, seed=seed))

    def synthesize_batch(
        self, units: Sequence[np.ndarray], durations: Sequence[np.ndarray] | None = None, seed: int = 0
    ) -> list[np.ndarray]:
        """:meth:`synthesize` for each, with the same result and errors as one by one."""
        # One by one is not slower on a CPU, and no waveform can depend on its neighbours.
        every = [None] * len(units) if durations is None else durations
        if len(every) != len(units):
            raise InputError(
                "every sequence of units needs its durations",
                f"{len(units)} and {len(every)}",
                "give both in the same order, or None",
            )
        return [self.synthesize(one, length, seed) for one, length in zip(units, every, strict=True)]

    @torch.inference_mode()
    def log_mel(self, units: np.ndarray, durations: np.ndarray | None = None) -> Tensor:
        """The spectrogram ``[80, hops]`` of :meth:`synthesize`."""
        units_N = self.check_units(units)
        durations = self.predict_durations(units) if durations is None else np.asarray(durations)
        if durations.shape != units_N.shape or not np.issubdtype(durations.dtype, np.integer) or (durations < 1).any():
            raise InputError(
                "durations must be whole frames, at least one for each unit",
                f"shape {durations.shape}, type {durations.dtype} for {len(units_N)} units",
                "give what the unit tokenizer gave, or None",
            )
        durations_N = torch.from_numpy(durations.astype(np.int64))
        frames_F = units_N.repeat_interleave(durations_N)
        mel = self.mel_network(frames_F[None], place_features(durations_N)[None])[0]
        return mel * self.mel_scale + self.mel_mean[:, None]

    @torch.inference_mode()
    def predict_durations(self, units: np.ndarray) -> np.ndarray:
        """Frames of each unit, int64 ``[n]``, at least 1; rounding errors are carried on."""
        wanted = self.duration_network(self.check_units(units)[None])[0].exp().double().clamp(max=100).numpy()
        # Halves go up, always: steps of one or more then never round to none.
        ends = np.floor(np.cumsum(np.maximum(wanted, 1.0)) + 0.5).astype(np.int64)
        return np.diff(ends, prepend=0)

    @one_thread()
    def copy_synthesis(self, waveform: np.ndarray, seed: int = 0, *, iterations: int = 16) -> np.ndarray:
        """Log-mel of a recording and back: what the vocoder would say if its networks were perfect.

        Args:
            waveform: float32 ``[samples]``, 16 kHz.
            seed, iterations: as in :meth:`synthesize`.

        Returns:
            float32, as many samples.

        Raises:
            InputError: empty, not mono, or not finite.
        """
        samples = torch.from_numpy(check_waveform(waveform))
        log_mel = features.log_mel(samples[None])
        return _samples(features.griffin_lim(log_mel, iterations=iterations, seed=seed))[: len(waveform)]

    def check_units_of(self, tokenizer: UnitTokenizer) -> None:
        """Refuse units of another tokenizer.

        Raises:
            InputError: the fingerprints differ.
        """
        _check_fingerprint(self.unit_fingerprint, tokenizer.fingerprint)

    def save(self, directory: Path | str) -> None:
        """Write ``config.json`` and ``model.safetensors``; the directory appears whole or not at all."""
        save_network(directory, {**self._config(), "fingerprint": self.fingerprint}, self)

    @classmethod
    def load(cls, directory: Path | str, unit_fingerprint: str | None = None) -> Vocoder:
        """Load what :meth:`save` wrote.

        Args:
            directory: where.
            unit_fingerprint: of the units it is to speak, if they are known.

        Raises:
            NotFoundError: nothing there.
            InputError: made for other units, or files that do not belong together.
        """
        config = load_config(directory, (cls.KIND,), "a vocoder")
        if unit_fingerprint is not None:
            _check_fingerprint(config["unit_fingerprint"], unit_fingerprint)
        vocoder = cls(config["num_units"], config["frame_rate"], config["unit_fingerprint"], width=config["width"])
        load_weights(directory, vocoder)
        check_same("a vocoder", config["fingerprint"], vocoder.fingerprint)
        return vocoder

    def _config(self) -> dict[str, object]:
        return {
            "kind": self.KIND,
            "num_units": self.num_units,
            "frame_rate": self.frame_rate,
            "unit_fingerprint": self.unit_fingerprint,
            "width": self.mel_network.head.in_channels,
        }

    def check_units(self, units: np.ndarray) -> Tensor:
        """Units as int64 ``[n]``.

        Raises:
            InputError: none, not whole numbers, or out of range.
        """
        units = np.asarray(units)
        if units.ndim != 1 or units.size == 0 or not np.issubdtype(units.dtype, np.integer):
            raise InputError(
                "units must be one or more whole numbers in a row",
                f"shape {units.shape}, type {units.dtype}",
                "give Units.units of one recording",
            )
        if units.min() < 0 or units.max() >= self.num_units:
            raise InputError(
                f"units must be 0 .. {self.num_units - 1}",
                f"{units.min()} .. {units.max()}",
                "take the offset of the speech ids off, and drop control ids",
            )
        return torch.from_numpy(units.astype(np.int64))


@one_thread()
def fit_vocoder(
    utterances: Sequence[np.ndarray],
    units: Sequence[Units],
    tokenizer: UnitTokenizer,
    *,
    steps: int = 250,
    learning_rate: float = 3e-3,
    seed: int = 0,
    progress: Bar | None = None,
) -> Vocoder:
    """Train a vocoder for a tokenizer's units.

    The same data, settings and seed give the same weights on the same kind of processor; it takes one thread,
    about 0.15 s per step.

    Args:
        utterances: float32 ``[samples]`` at 16 kHz, best of one voice; a few hundred.
        units: what ``tokenizer`` says of them.
        tokenizer: one codebook; frame rate 25 or 50 Hz.
        steps: optimizer steps, each over 12 crops of 4 s.
        learning_rate: peak of the one-cycle schedule (AdamW).
        seed: of the weights and the crops.
        progress: advanced by one per step, notes the loss.

    Raises:
        InputError: no utterances, or units that do not fit them.
    """
    if not utterances or len(utterances) != len(units):
        raise InputError(
            "a vocoder needs utterances and the units of each",
            f"{len(utterances)} utterances, {len(units)} units",
            "give both in the same order",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "vocoder"))
        vocoder = Vocoder(tokenizer.num_units, tokenizer.frame_rate, tokenizer.fingerprint)
    for one in units:
        vocoder.check_units(one.units)
    crops = Crops(utterances, units, vocoder.frame_rate, vocoder.mel_network.hops_per_frame)
    mean, scale = crops.mel_statistics()
    vocoder.mel_mean.copy_(mean)
    vocoder.mel_scale.copy_(scale)
    random = torch.Generator().manual_seed(derive(seed, "vocoder crops") >> 1)
    fit(
        vocoder,
        lambda: _loss(vocoder, crops.draw(random)),
        steps=steps,
        learning_rate=learning_rate,
        progress=progress,
    )
    return vocoder


def _loss(vocoder: Vocoder, batch: Batch) -> Tensor:
    """Mean absolute error of normalised log-mel, plus that of log durations."""
    hop_mask = batch.hop_mask[:, None].float()
    target = (batch.log_mel - vocoder.mel_mean[:, None]) / vocoder.mel_scale
    mel = vocoder.mel_network(batch.frames, batch.places).float()
    mel_error = ((mel - target).abs() * hop_mask).sum() / (hop_mask.sum() * features.NUM_MELS)
    logs = vocoder.duration_network(batch.units, batch.unit_mask).float()
    duration_error = ((logs - batch.durations.log()).abs() * batch.unit_mask).sum() / batch.unit_mask.sum()
    return mel_error + duration_error


def _samples(waveform_1N: Tensor) -> np.ndarray:
    return waveform_1N[0].clamp(-1, 1).numpy()


def _check_fingerprint(own: str, other: str) -> None:
    if own != other:
        raise InputError(
            "a vocoder speaks the units of one tokenizer only",
            f"made for units {own[:16]}, given units {other[:16]}",
            "fit a vocoder for these units, or load the tokenizer it was made for",
        )
