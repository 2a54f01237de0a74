"""Phone units: a small encoder trained on the spot on speech whose phones are known.

These units are *supervised*, like the supervised semantic tokenizers of recent speech language models: the
encoder learns from the phone labels of a synthesizer or an aligner. Their figures (purity, PNMI) must not be
compared with those of self-supervised units. In return the encoder trains in two minutes on a laptop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smoltolk.common.errors import InputError
from smoltolk.common.progress import Bar
from smoltolk.common.seeds import derive
from smoltolk.speech import features
from smoltolk.speech.audio import check_waveform, num_frames
from smoltolk.speech.phones import PHONES, SILENCE
from smoltolk.speech.segments import Segment
from smoltolk.speech.small_networks import (
    check_same,
    fit,
    load_config,
    load_weights,
    one_thread,
    save_network,
    torch_generator,
)
from smoltolk.speech.units.phone_network import HOPS_PER_FRAME, PhoneNetwork, draw_crops
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer, deduplicate, fingerprint_of

FRAME_RATE = features.HOP_RATE / HOPS_PER_FRAME  # 25 Hz
WINDOW_SECONDS = 30  # long recordings pass the network in windows of this length, with overlap
_FRAME_SAMPLES = features.HOP * HOPS_PER_FRAME
_CROP_HOPS = 400  # 4 s
_BATCH = 24
# Against what 95 of 100 recordings stay below. Units of 16 synthetic voices: other such voices reach 0.85 of the limit
# (99 of 100 recordings), 61 human recordings have 1.1 to 2.3.
_FAR = 1.5


@dataclass(frozen=True, slots=True)
class LabelledSpeech:
    """Speech whose phones are known.

    Attributes:
        waveform: float32 ``[samples]``, 16 kHz.
        phones: segments of one inventory, with silence as a phone of its own; gaps count as ``"sil"``.
    """

    waveform: np.ndarray
    phones: tuple[Segment, ...]


class PhoneUnitTokenizer(UnitTokenizer):
    """One unit per phone class, 25 frames per second: the likeliest phone of each frame, deduplicated.

    Chunking: normalisation statistics cover the whole recording. Recordings of more than 30 s then pass the
    network in windows of 30 s that overlap by more than its reach, so that windows change no score. Each
    recording is encoded by itself: its units cannot depend on a batch. The last frame is dropped if it is not
    full (25 Hz: up to 40 ms). A recording without any sound (all samples equal) is ``"sil"`` throughout.

    Args:
        phones: names of the units, in the order of their ids.
        network: trained scorer of the same number of classes.
    """

    KIND = "phone"

    def __init__(self, phones: Sequence[str], network: PhoneNetwork):
        self.phones = tuple(phones)
        self.sample_rate = features.SAMPLE_RATE
        self.frame_rate = FRAME_RATE
        self.num_units = len(self.phones)
        self.num_codebooks = 1
        self.network = network.eval().requires_grad_(False)
        self.usual_doubt: float | None = None  # decides no unit, and is no part of the fingerprint
        self._fingerprint = fingerprint_of(self.config(), self.network.state_dict())

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def encode(self, waveforms: Sequence[np.ndarray]) -> list[Units]:
        return [deduplicate(self._phones(waveform)) for waveform in waveforms]

    def _phones(self, waveform: np.ndarray) -> np.ndarray:
        phones = self.scores(waveform).argmax(0).numpy()
        # Without any sound there is nothing to normalise, and the network never met what is left.
        return np.full_like(phones, self.phones.index(SILENCE)) if np.ptp(waveform) == 0 else phones

    def scores(self, waveform: np.ndarray) -> Tensor:
        """Scores ``[phones, frames]`` of one recording; raises as :meth:`encode`."""
        return self._of_windows(self.network, waveform)

    def hidden(self, waveform: np.ndarray) -> Tensor:
        """What the scores are made of, ``[bottleneck or width, frames]``; raises as :meth:`encode`."""
        return self._of_windows(self.network.hidden, waveform)

    def doubt(self, waveform: np.ndarray) -> float:
        """Mean entropy of the phones of frames that are not silent, in nats; raises as :meth:`encode`."""
        log_KT = self.scores(waveform).float().log_softmax(0)
        sounding_T = log_KT.argmax(0) != self.phones.index(SILENCE)
        entropy_T = -(log_KT.exp() * log_KT).sum(0)
        return float((entropy_T[sounding_T] if sounding_T.any() else entropy_T).mean())

    def measure_doubt(self, waveforms: Sequence[np.ndarray]) -> None:
        """Learn what is usual from recordings that the units are for, best ones that they were not trained on.

        Args:
            waveforms: as for :meth:`encode`; none: it stays unknown.
        """
        if len(waveforms):
            self.usual_doubt = float(np.quantile([self.doubt(one) for one in waveforms], 0.95))

    def strangeness(self, waveform: np.ndarray) -> float | None:
        return None if self.usual_doubt is None else self.doubt(waveform) / (_FAR * self.usual_doubt)

    @one_thread()
    @torch.inference_mode()
    def _of_windows(self, function: Callable[[Tensor], Tensor], waveform: np.ndarray) -> Tensor:
        waveform = check_waveform(waveform)
        frames = num_frames(len(waveform) / self.sample_rate, self.frame_rate)
        if frames == 0:
            raise InputError(
                f"a recording must last one frame at least ({_FRAME_SAMPLES} samples)",
                f"{len(waveform)} samples",
                "leave such short recordings out",
            )
        mel = features.normalise_mel(features.log_mel_of(waveform, frames * HOPS_PER_FRAME)[None])
        window, context = int(WINDOW_SECONDS * self.frame_rate), self.network.context_frames
        scores = []
        for start in range(0, frames, window):
            first, last = max(0, start - context), min(frames, start + window + context)
            part = function(mel[..., first * HOPS_PER_FRAME : last * HOPS_PER_FRAME])[0]
            scores.append(part[:, start - first : min(frames, start + window) - first])
        return torch.cat(scores, dim=1)

    def save(self, directory: Path | str) -> None:
        known = {} if self.usual_doubt is None else {"usual_doubt": self.usual_doubt}
        save_network(directory, {**self.config(), **known, "fingerprint": self.fingerprint}, self.network)

    @classmethod
    def load(cls, directory: Path | str) -> PhoneUnitTokenizer:
        """Load what :meth:`save` wrote; raises as :func:`~smoltolk.speech.units.kinds.load_unit_tokenizer`."""
        config = load_config(directory, (cls.KIND,), "a phone unit tokenizer")
        network = PhoneNetwork(
            len(config["phones"]), config["width"], config["num_blocks"], config.get("bottleneck", 0)
        )
        load_weights(directory, network)
        tokenizer = cls(config["phones"], network)
        tokenizer.usual_doubt = config.get("usual_doubt")
        check_same("a unit tokenizer", config["fingerprint"], tokenizer.fingerprint)
        return tokenizer

    def config(self) -> dict[str, Any]:
        # Named only where there is one: fingerprints of phone units stay what they were.
        bottleneck = {"bottleneck": self.network.bottleneck} if self.network.bottleneck else {}
        return {
            **bottleneck,
            **super().config(),
            "phones": list(self.phones),
            "width": self.network.width,
            "num_blocks": len(self.network.blocks.layers),
            "window_seconds": WINDOW_SECONDS,
        }


def phone_frames(phones: Sequence[Segment], inventory: Sequence[str], frames: int, frame_rate: float) -> np.ndarray:
    """The phone at the middle of each frame, as an index into ``inventory``: int64 ``[frames]``.

    Frames that no segment covers are ``"sil"``.

    Raises:
        InputError: a segment's phone is not in the inventory.
    """
    index = {phone: number for number, phone in enumerate(inventory)}
    unknown = sorted(({SILENCE} | {segment.text for segment in phones}) - index.keys())
    if unknown:
        raise InputError(
            "silence and every phone must be in the inventory",
            f"{unknown} are not",
            "give the inventory of your labels",
        )
    labels = np.full(frames, index[SILENCE], dtype=np.int64)
    middles = (np.arange(frames) + 0.5) / frame_rate
    for segment in phones:
        first, last = np.searchsorted(middles, (segment.start, segment.end))
        labels[first:last] = index[segment.text]
    return labels


@one_thread()
def fit_phone_units(
    utterances: Sequence[LabelledSpeech],
    *,
    inventory: Sequence[str] = PHONES,
    steps: int = 300,
    learning_rate: float = 3e-3,
    bottleneck: int = 0,
    seed: int = 0,
    progress: Bar | None = None,
) -> PhoneUnitTokenizer:
    """Train a phone encoder.

    The same utterances, settings and seed give the same weights on the same kind of processor; it takes one
    thread, about 0.1 s per step. A few hundred varied
    sentences in a dozen voices are enough; more voices help with voices it never met.

    Args:
        utterances: labelled speech, 16 kHz.
        inventory: phones in the order of their unit ids; must hold ``"sil"`` and every phone of the labels.
        steps: optimizer steps, each over 24 crops of 4 s.
        learning_rate: peak of the one-cycle schedule (AdamW).
        bottleneck: numbers per frame between channels and scores, which a codebook can cluster; 0: none.
        seed: of the weights and of every crop.
        progress: advanced by one per step, notes the loss.

    Raises:
        InputError: no utterances, or a waveform that is empty or not finite.
    """
    if not utterances:
        raise InputError("phone units need labelled speech", "no utterances", "give a few hundred")
    mels, labels = [], []
    for utterance in utterances:
        waveform = check_waveform(utterance.waveform)
        hops = features.hops_of(len(waveform))
        mels.append(features.log_mel(torch.from_numpy(waveform)[None], hops)[0])
        labels.append(torch.from_numpy(phone_frames(utterance.phones, inventory, hops, features.HOP_RATE)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "phone network"))
        network = PhoneNetwork(len(inventory), bottleneck=bottleneck)
    random = torch_generator(seed, "phone crops")
    fit(
        network,
        lambda: _loss(network, *draw_crops(mels, labels, _BATCH, _CROP_HOPS, random)),
        steps=steps,
        learning_rate=learning_rate,
        progress=progress,
    )
    return PhoneUnitTokenizer(inventory, network)


def _loss(network: PhoneNetwork, mel_BMT: Tensor, label_BT: Tensor) -> Tensor:
    mask_BT = label_BT >= 0
    scores_BKT = network(features.normalise_mel(mel_BMT, mask_BT), mask_BT)
    # Four labels per frame: a frame across a border learns both phones by their shares.
    scores = scores_BKT.float().repeat_interleave(HOPS_PER_FRAME, dim=2)
    return torch.nn.functional.cross_entropy(scores, label_BT, ignore_index=-1)
