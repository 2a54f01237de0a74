"""The command line, to be started by ``torch.distributed.run`` or by itself: in float32, with checkpoints every few
steps, and a death to order.

Environment:
    KILLED_AT: ``9``: the process kills itself before the ninth step of stage 2; ``stage1:9``: of another stage;
        ``tune:9``, ``prefer:9``: of tuning.
    STOPPED_AT: as ``KILLED_AT``, by SIGTERM, which ends it at the end of that step; of several processes the last one
        gets it.
    SAVE_STEPS: between checkpoints, 2 by default.
    LOG_STEPS: between lines of the log.
    SHARDED: ``1``: weights are shared out among the processes (FSDP2).
    LARGEST_FILE: bytes beyond which no file of a checkpoint can be written, as where a disk is full.
    LOST_AT: ``9``: the loss of the ninth step of stage 2 is NaN.
    GRADIENTS: a directory: the gradients of the first step of stage 2 are written there, whole.
"""

import functools
import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from smoltolk.cli import main
from smoltolk.common.processes import is_main, num_processes, rank
from smoltolk.training.loop import settings as loop
from smoltolk.training.presets import PRESETS
from smoltolk.training.sharding import whole_tensors
from smoltolk.training.trainer import SmolTolkTrainer
from smoltolk.training.tuning import jobs, settings
from smoltolk.training.whole_checkpoints import WholeCheckpoints

torch.set_num_threads(1)
small = PRESETS["small"]
save_steps = int(os.environ.get("SAVE_STEPS", "2"))
recipe = replace(small.recipe, bf16=False, save_steps=save_steps)
PRESETS["small"] = replace(small, recipe=recipe)
settings.Amount = functools.partial(settings.Amount, save_steps=save_steps)  # type: ignore[misc]
recipe_of_tuning = jobs.DialogueJob.recipe
jobs.DialogueJob.recipe = lambda self: replace(recipe_of_tuning(self), bf16=False)  # type: ignore[method-assign]
compute_loss = SmolTolkTrainer.compute_loss
clip = SmolTolkTrainer._clip_grad_norm


def is_at(variable: str, trainer: Any) -> bool:
    stage, _, step = os.environ.get(variable, "0").rpartition(":")
    return Path(trainer.args.output_dir).name == (stage or "stage2") and trainer.state.global_step + 1 == int(step)


def mortal(self: Any, *args: Any) -> torch.Tensor:
    if is_at("KILLED_AT", self):
        os.kill(os.getpid(), signal.SIGKILL)
    if is_at("STOPPED_AT", self) and rank() == num_processes() - 1:
        os.kill(os.getpid(), signal.SIGTERM)
    if os.environ.get("LARGEST_FILE"):  # from here on: what a start leaves in caches is larger
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["LARGEST_FILE"]), resource.RLIM_INFINITY))
    return super(WholeCheckpoints, self).training_step(*args)


def lost(self: SmolTolkTrainer, *args: Any, **kwargs: Any) -> Any:
    loss = compute_loss(self, *args, **kwargs)
    now = "stage2" in self.args.output_dir and self.state.global_step + 1 == int(os.environ.get("LOST_AT", "0"))
    return loss * float("nan") if now else loss


def watched(self: SmolTolkTrainer, model: torch.nn.Module) -> Any:
    folder = os.environ.get("GRADIENTS")
    if folder and "stage2" in self.args.output_dir and self.state.global_step == 0:
        gradients = ((name, parameter.grad) for name, parameter in self.model.named_parameters())
        whole = {name: value.clone() for name, value in whole_tensors(gradients)}
        if is_main():
            torch.save(whole, Path(folder) / "gradients.pt")
    return clip(self, model)


WholeCheckpoints.training_step = mortal
SmolTolkTrainer._clip_grad_norm = watched
SmolTolkTrainer.compute_loss = lost
if os.environ.get("SHARDED"):
    sys.argv.append("hardware.fsdp=true")
log_steps = os.environ.get("LOG_STEPS")
if log_steps and sys.argv[1] == "train":
    sys.argv.append(f"logging.log_steps={log_steps}")
elif log_steps:
    loop.Logging = functools.partial(loop.Logging, log_steps=int(log_steps))  # type: ignore[misc]
main()
