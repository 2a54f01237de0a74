"""The command line, to be started by ``torch.distributed.run``: in float32, with checkpoints every four steps,
and a death to order.

``KILLED_AT=9``: the process kills itself before the ninth step of stage 2.
"""

import os
import signal
from dataclasses import replace

import torch

from smoltolk.cli import main
from smoltolk.training.presets import PRESETS
from smoltolk.training.trainer import SmolTolkTrainer

torch.set_num_threads(1)
small = PRESETS["small"]
PRESETS["small"] = replace(small, recipe=replace(small.recipe, bf16=False, save_steps=4))
train_step = SmolTolkTrainer.training_step


def mortal(self: SmolTolkTrainer, *args: object) -> torch.Tensor:
    if "stage2" in self.args.output_dir and self.state.global_step + 1 == int(os.environ.get("KILLED_AT", "0")):
        os.kill(os.getpid(), signal.SIGKILL)
    return train_step(self, *args)


SmolTolkTrainer.training_step = mortal
main()
