"""Training of the small Vocos: the regression to log-mel and the network behind it, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from smoltolk.common.devices import device_of
from smoltolk.common.progress import Bar
from smoltolk.common.seeds import derive
from smoltolk.speech import features
from smoltolk.speech.small_networks import one_thread, share_of_peak, torch_generator
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer
from smoltolk.speech.vocoders.crops import BATCH, Batch, Crops, check_training_data
from smoltolk.speech.vocoders.losses import mel_distance, stft_distance
from smoltolk.speech.vocoders.training_loop import (
    NUM_SAMPLES,
    Keeping,
    Training,
    chosen_precision,
    descend,
    run,
    save_samples,
)
from smoltolk.speech.vocoders.vocos import VocosVocoder

WINDOW_HOPS = 96  # of each crop of 4 s, the network behind the spectrogram hears this much
_OWN_MEL_FROM = 0.4  # of the steps: from then on half of what it hears is what the regression writes


@one_thread()
def fit_vocos(
    utterances: Sequence[np.ndarray],
    units: Sequence[Units],
    tokenizer: UnitTokenizer,
    *,
    steps: int = 600,
    batch: int = BATCH,
    mel_rate: float = 3e-3,
    learning_rate: float = 2e-3,
    seed: int = 0,
    network: dict[str, int] | None = None,
    device: torch.device | str = "cpu",
    precision: str = "auto",
    keeping: Keeping | None = None,
    progress: Bar | None = None,
) -> VocosVocoder:
    """Train a small Vocos for a tokenizer's units; one thread of a CPU takes about 0.4 s per step.

    The same data, settings and seed give the same weights on the same kind of processor, interrupted or not.

    Args:
        utterances: float32 ``[samples]`` at 16 kHz, best of one voice; a few hundred.
        units: what ``tokenizer`` says of them.
        tokenizer: one codebook; its frame rate divides 100 Hz.
        steps: optimizer steps.
        batch: crops of 4 s in each.
        mel_rate: peak learning rate of the regression (AdamW, one cycle).
        learning_rate: peak of the network behind it.
        seed: of the weights and the crops.
        network: settings of :class:`~smoltolk.speech.vocoders.vocos.VocosNetwork`.
        device: where it is trained; the vocoder comes back to the CPU.
        precision: see :func:`~smoltolk.speech.vocoders.training_loop.chosen_precision`.
        keeping: checkpoints and samples, by default none.
        progress: advanced by one per step, notes the losses.

    Raises:
        InputError: no utterances, units that do not fit them, or a checkpoint of another training.
    """
    check_training_data(utterances, units, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "vocoder"))
        vocoder = VocosVocoder(tokenizer.num_units, tokenizer.frame_rate, tokenizer.fingerprint, network=network)
    crops = Crops(utterances, units, vocoder.frame_rate, vocoder.mel_network.hops_per_frame)
    vocoder.measure(crops)
    place = device_of(device)
    vocoder.to(place).train()
    bf16 = chosen_precision(precision, place)
    backend = [p for name, p in vocoder.named_parameters() if name.startswith("vocos.")]
    regression = [p for name, p in vocoder.named_parameters() if not name.startswith("vocos.")]
    optimizers = [torch.optim.AdamW(part, betas=(0.9, 0.98), weight_decay=0.01) for part in (regression, backend)]

    def step(index: int) -> dict[str, Tensor]:
        random = torch_generator(seed, "vocoder crops", index)
        drawn = crops.draw(random, batch).to(place)
        with torch.autocast(place.type, torch.bfloat16, enabled=bf16):
            mel_loss, own_mel = vocoder.spectrogram_loss(drawn)
            sound_loss = _sound_loss(vocoder, drawn, own_mel.detach(), random, mixed=index >= _OWN_MEL_FROM * steps)
        share = share_of_peak(index, steps)
        descend(optimizers[0], mel_loss, mel_rate * share)
        descend(optimizers[1], sound_loss, learning_rate * share)
        return {"spectrogram": mel_loss, "sound": sound_loss}

    def sample(directory: Path) -> None:
        save_samples(vocoder, units[:NUM_SAMPLES], directory)

    settings = {
        "kind": VocosVocoder.KIND, "units": tokenizer.fingerprint, "utterances": len(utterances), "steps": steps,
        "batch": batch, "mel_rate": mel_rate, "learning_rate": learning_rate, "seed": seed,
        "network": vocoder.vocos.settings, "samples": sum(map(len, utterances)), "bf16": bf16,
    }  # fmt: skip
    training = Training(settings, {"vocoder": vocoder}, {"mel": optimizers[0], "vocos": optimizers[1]})
    run(training, step, steps, keeping=keeping or Keeping(), progress=progress, sample=sample)
    vocoder.cpu().eval().requires_grad_(False)
    return vocoder


def _sound_loss(
    vocoder: VocosVocoder, batch: Batch, own_mel_BMT: Tensor, random: torch.Generator, *, mixed: bool
) -> Tensor:
    """Spectral distance of one random window of every row; ``mixed``: every second row from its own log-mel."""
    shares = torch.rand(len(batch.rows), generator=random)
    lengths = batch.hop_mask.sum(1)
    window = min(WINDOW_HOPS, batch.hop_mask.shape[1])
    starts = (shares.to(lengths.device) * (lengths - window + 1).clamp(min=1)).long()
    hops_BT = starts[:, None] + torch.arange(window, device=lengths.device)
    normalised = vocoder.normalise(batch.log_mel)
    if mixed:
        normalised = torch.cat([own_mel_BMT[::2], normalised[1::2]])
        order = torch.cat([torch.arange(0, len(lengths), 2), torch.arange(1, len(lengths), 2)])
        normalised = normalised[order.argsort()]
    normalised = normalised.gather(2, hops_BT[:, None].expand(-1, features.NUM_MELS, -1))
    log_mel = normalised * vocoder.mel_scale + vocoder.mel_mean[:, None]
    mask = batch.hop_mask.gather(1, hops_BT).repeat_interleave(features.HOP, 1)
    samples_BT = (hops_BT[:, :, None] * features.HOP + torch.arange(features.HOP, device=hops_BT.device)).flatten(1)
    real = batch.samples.gather(1, samples_BT) * mask
    made = vocoder.vocos(normalised, log_mel) * mask
    with torch.autocast(made.device.type, enabled=False):
        return mel_distance(made, real) + stft_distance(made, real)
