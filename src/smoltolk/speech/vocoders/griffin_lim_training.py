"""Training of the simple vocoder: the regression to log-mel alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from smoltolk.common.devices import device_of
from smoltolk.common.progress import Bar
from smoltolk.common.seeds import derive
from smoltolk.speech.small_networks import one_thread, share_of_peak, torch_generator
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer
from smoltolk.speech.vocoders.crops import Crops, check_training_data
from smoltolk.speech.vocoders.griffin_lim import GriffinLimVocoder
from smoltolk.speech.vocoders.training_loop import (
    NUM_SAMPLES,
    Keeping,
    Training,
    chosen_precision,
    descend,
    run,
    save_samples,
)


@one_thread()
def fit_vocoder(
    utterances: Sequence[np.ndarray],
    units: Sequence[Units],
    tokenizer: UnitTokenizer,
    *,
    steps: int = 250,
    learning_rate: float = 3e-3,
    seed: int = 0,
    device: torch.device | str = "cpu",
    precision: str = "auto",
    keeping: Keeping | None = None,
    progress: Bar | None = None,
) -> GriffinLimVocoder:
    """Train the simple vocoder for a tokenizer's units; one thread of a CPU takes about 0.15 s per step.

    The same data, settings and seed give the same weights on the same kind of processor, interrupted or not.

    Args:
        utterances: float32 ``[samples]`` at 16 kHz, best of one voice; a few hundred.
        units: what ``tokenizer`` says of them.
        tokenizer: one codebook; frame rate 25 or 50 Hz.
        steps: optimizer steps, each over 12 crops of 4 s.
        learning_rate: peak of the one-cycle schedule (AdamW).
        seed: of the weights and the crops.
        device: where it is trained; the vocoder comes back to the CPU.
        precision: see :func:`~smoltolk.speech.vocoders.training_loop.chosen_precision`.
        keeping: checkpoints and samples, by default none.
        progress: advanced by one per step, notes the loss.

    Raises:
        InputError: no utterances, units that do not fit them, or a checkpoint of another training.
    """
    check_training_data(utterances, units, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "vocoder"))
        vocoder = GriffinLimVocoder(tokenizer.num_units, tokenizer.frame_rate, tokenizer.fingerprint)
    crops = Crops(utterances, units, vocoder.frame_rate, vocoder.mel_network.hops_per_frame)
    vocoder.measure(crops)
    place = device_of(device)
    vocoder.to(place).train()
    bf16 = chosen_precision(precision, place)
    optimizer = torch.optim.AdamW(vocoder.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    random = torch_generator(seed, "vocoder crops")
    # One stream of numbers for all steps, drawn ahead: any step can be the first after an interruption.
    choices = [crops.choose(random) for _ in range(steps)]

    def step(index: int) -> dict[str, Tensor]:
        drawn = crops.cut(*choices[index]).to(place)
        with torch.autocast(place.type, torch.bfloat16, enabled=bf16):
            loss = vocoder.spectrogram_loss(drawn)[0]
        descend(optimizer, loss, learning_rate * share_of_peak(index, steps))
        return {"spectrogram": loss}

    def sample(directory: Path) -> None:
        save_samples(vocoder, units[:NUM_SAMPLES], directory)

    settings = {
        "kind": GriffinLimVocoder.KIND, "units": tokenizer.fingerprint, "utterances": len(utterances), "steps": steps,
        "learning_rate": learning_rate, "seed": seed, "samples": sum(map(len, utterances)), "bf16": bf16,
    }  # fmt: skip
    training = Training(settings, {"vocoder": vocoder}, {"mel": optimizer})
    run(training, step, steps, keeping=keeping or Keeping(), progress=progress, sample=sample)
    vocoder.cpu().eval().requires_grad_(False)
    return vocoder
