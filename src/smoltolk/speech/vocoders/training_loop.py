"""Training that goes on where it was killed: checkpoints of networks and optimizers, and samples now and then.

Whatever a step draws at random it draws for ``(seed, step)``, so that a checkpoint needs no state of a generator and
an interrupted training ends with the same weights as one that never stopped.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim import Optimizer

from smoltolk.common.checkpoint_files import read_torch
from smoltolk.common.devices import multiplies_bfloat16
from smoltolk.common.errors import InputError, first_line
from smoltolk.common.files import atomic_directory, read_json, remove_leftovers, write_json
from smoltolk.common.progress import Bar
from smoltolk.common.stopping import WITH_CHECKPOINT, Stopped, asked, patient, say_kept, say_resumed
from smoltolk.speech import audio
from smoltolk.speech.units.tokenizer import Units
from smoltolk.speech.vocoders.vocoder import Vocoder

PRECISIONS = ("auto", "bf16", "fp32")
NUM_SAMPLES = 2  # of a vocoder of one voice
_WHAT = "the vocoder"
_NOTE_EVERY = 20  # steps; reading a loss waits for a GPU


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where a training keeps its place and its samples.

    Attributes:
        work: directory of checkpoints and of ``samples``; None: nothing is kept.
        save_every: steps from checkpoint to checkpoint.
        sample_every: steps from one set of samples to the next.
    """

    work: Path | None = None
    save_every: int = 1_000
    sample_every: int = 2_000


@dataclass(slots=True)
class Training:
    """Networks with their optimizers.

    Attributes:
        settings: all that decides the result, as JSON takes it; a checkpoint of other settings is refused.
        networks: by name.
        optimizers: by name.
    """

    settings: Mapping[str, Any]
    networks: Mapping[str, nn.Module]
    optimizers: Mapping[str, Optimizer]

    def save(self, work: Path, step: int) -> None:
        """Write ``work/checkpoint-STEP``, whole or not at all, then delete the ones before."""
        path = work / f"checkpoint-{step:08d}"
        with atomic_directory(path) as directory:
            write_json(directory / "state.json", {"step": step, "settings": dict(self.settings)})
            for name, network in self.networks.items():
                weights = {key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()}
                save_file(weights, directory / f"{name}.safetensors")
            torch.save({name: one.state_dict() for name, one in self.optimizers.items()}, directory / "optimizers.pt")
        for older in _checkpoints(work):
            if older != path:
                shutil.rmtree(older)

    def restore(self, work: Path) -> int:
        """Take up the last checkpoint in ``work``; return how many steps were done, 0 where there is none.

        Raises:
            InputError: it is of another training, or damaged.
        """
        found = _checkpoints(work)
        if not found:
            return 0
        path = found[-1]
        state = read_json(path / "state.json")
        if state["settings"] != dict(self.settings):
            different = sorted(
                name
                for name in {**state["settings"], **self.settings}
                if state["settings"].get(name) != self.settings.get(name)
            )
            told = [f"{name} was {state['settings'].get(name)!r}, is {self.settings.get(name)!r}" for name in different]
            raise InputError(
                "an interrupted training goes on with the same settings and data",
                f"{path}: {'; '.join(told[:3])}",
                f"give the same options, or delete {work} to start anew",
            )
        anew = f"delete {path} to start anew"
        states = read_torch(path / "optimizers.pt", anew)
        try:
            for name, network in self.networks.items():
                network.load_state_dict(load_file(path / f"{name}.safetensors"))
            for name, optimizer in self.optimizers.items():
                optimizer.load_state_dict(states[name])
        except (SafetensorError, RuntimeError, OSError, KeyError, ValueError) as error:
            raise InputError(
                "a checkpoint must hold the networks and optimizers of its training",
                f"{path}: {first_line(error)}",
                anew,
            ) from error
        return int(state["step"])


def run(
    training: Training,
    step: Callable[[int], Mapping[str, torch.Tensor]],
    steps: int,
    *,
    keeping: Keeping,
    progress: Bar | None = None,
    sample: Callable[[Path], None] | None = None,
) -> None:
    """Train from the last checkpoint to the last step. A signal ends it at the end of a step, with a checkpoint of it.

    Args:
        training: changed in place.
        step: does optimizer step number ``i`` of 0 .. steps - 1, returns losses to show and to watch.
        steps: in all, at least 1.
        keeping: where checkpoints and samples go.
        progress: advanced by one per step, notes the losses.
        sample: writes samples into a new directory.

    Raises:
        InputError: ``steps`` below 1, a loss that is not finite, or a checkpoint of another training.
        Stopped: a signal asked for the end.
    """
    if steps < 1:
        raise InputError("training takes at least one step", f"steps = {steps}", "give a positive number")
    work = keeping.work
    if work is not None:
        remove_leftovers(work)
        remove_leftovers(work / "samples")
    done = 0 if work is None else training.restore(work)
    if 0 < done < steps:
        say_resumed(done, steps, _WHAT)
    if progress is not None and done:
        progress.advance(done)
    with patient(WITH_CHECKPOINT) if work is not None else nullcontext():
        _steps(training, step, range(done, steps), keeping=keeping, progress=progress, sample=sample)


def _steps(
    training: Training,
    step: Callable[[int], Mapping[str, torch.Tensor]],
    numbers: range,
    *,
    keeping: Keeping,
    progress: Bar | None,
    sample: Callable[[Path], None] | None,
) -> None:
    work, steps = keeping.work, numbers.stop
    for index in numbers:
        losses = step(index)
        signal = asked()
        if index % _NOTE_EVERY == 0 or index == steps - 1 or signal:  # no checkpoint of lost weights
            shown = {name: value.item() for name, value in losses.items()}
            if not all(map(math.isfinite, shown.values())):
                raise InputError("the losses must stay finite", f"{shown} at step {index}", "lower the learning rate")
            if progress is not None:
                progress.note(", ".join(f"{name} {value:.2f}" for name, value in shown.items()))
        if progress is not None:
            progress.advance()
        now, last = index + 1, index + 1 == steps
        if work is None:
            continue
        if sample is not None and (now % keeping.sample_every == 0 or last):
            with atomic_directory(work / "samples" / f"step-{now:08d}") as directory:
                sample(directory)
        if now % keeping.save_every == 0 or last or signal:
            training.save(work, now)
        if signal:
            say_kept(now, steps, _WHAT)
            raise Stopped(signal)


def descend(optimizer: Optimizer, loss: torch.Tensor, rate: float) -> None:
    """One step down, gradients clipped to norm one.

    Args:
        optimizer: its learning rate is set.
        loss: ``[]``, of its parameters.
        rate: the learning rate.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_([one for group in optimizer.param_groups for one in group["params"]], 1.0)
    optimizer.step()


def save_samples(vocoder: Vocoder, units: Sequence[Units], directory: Path) -> None:
    """Write what a vocoder in training says, with true durations, as ``0.wav``, ``1.wav``, ..."""
    vocoder.eval()
    for number, one in enumerate(units):
        audio.save(directory / f"{number}.wav", vocoder.synthesize(one.units, one.durations), vocoder.sample_rate)
    vocoder.train()


def chosen_precision(precision: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16.

    Args:
        precision: ``"bf16"``, ``"fp32"``, or ``"auto"``: bf16 where it is fast.
        device: of the networks.

    Raises:
        InputError: another word.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision must be {', '.join(PRECISIONS)}", f"{precision!r}", "choose one of them")
    if precision != "auto":
        return precision == "bf16"
    return multiplies_bfloat16(device.type)


def _checkpoints(work: Path) -> list[Path]:
    return sorted(path for path in work.glob("checkpoint-*") if path.is_dir())
