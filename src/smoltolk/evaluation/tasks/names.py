"""Every task of choices by its name."""

from __future__ import annotations

from smoltolk.evaluation.tasks.choices import CHOICES
from smoltolk.evaluation.tasks.hellaswag import SHELLASWAG
from smoltolk.evaluation.tasks.salmon import SALMON
from smoltolk.evaluation.tasks.storycloze import SSC, TSC
from smoltolk.evaluation.tasks.task import Task
from smoltolk.evaluation.tasks.world import WORLD
from smoltolk.evaluation.tasks.zerospeech import SBLIMP, SWUGGY

TASKS: dict[str, Task] = {task.name: task for task in (SWUGGY, SBLIMP, SSC, TSC, SHELLASWAG, SALMON, CHOICES, WORLD)}
