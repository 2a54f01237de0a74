"""What a run will take, as `train --dry-run` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from smoltolk.common.quantities import duration, size

if TYPE_CHECKING:
    from smoltolk.training.recipes.plan import Plan


def print_plan(plan: Plan) -> None:
    """Parameters by group, then a column for each stage: to stderr, so that what stands on stdout is a recipe."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    groups = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in plan.parameters.items())
    share = plan.parameters["speech"] / plan.num_parameters
    console.print(f"\n{plan.num_parameters:,} parameters: {groups} (speech {share:.1%})")
    table = Table("", *(stage.name for stage in plan.stages), box=None, pad_edge=False)
    for name, cells in _rows(plan):
        table.add_row(name, *cells)
    console.print(table)
    devices = f"{plan.num_devices} device" + "s" * (plan.num_devices > 1)
    console.print(
        f"{_time(plan.hours)} on {devices} of {plan.peak_flops / 1e12:,.3g} TFLOP/s at {100 * plan.mfu:.3g}% of it"
        f" (--mfu, --devices, logging.peak_flops). Memory is that of"
        f" {'the first rows' if plan.from_rows else 'rows such as the mixture has'}."
    )


def _rows(plan: Plan) -> list[tuple[str, list[str]]]:
    stages = plan.stages
    tasks = dict.fromkeys(task for stage in stages for task in stage.ids_by_task)
    return [
        ("steps", [f"{stage.num_steps:,}" for stage in stages]),
        ("ids", [f"{stage.ids:,}" for stage in stages]),
        *((f"  {task}", [f"{stage.ids_by_task.get(task, 0):,}" for stage in stages]) for task in tasks),
        ("trained", [f"{stage.rehearsal.trained:,}" for stage in stages]),
        ("FLOPs", [f"{stage.flops:.3g}" for stage in stages]),
        ("time", [_time(stage.hours) for stage in stages]),
        ("rows of a pass", [f"{stage.rows_of_a_pass}" for stage in stages]),
        ("memory of a device", [size(stage.memory) for stage in stages]),
        *(
            (f"  {name}", [size(getattr(stage.rehearsal, name)) for stage in stages])
            for name in ("weights", "gradients", "optimizer", "activations")
        ),
        ("  logits, in passing", [size(stage.rehearsal.passing) for stage in stages]),
    ]


def _time(hours: float) -> str:
    return duration(3600 * hours)
