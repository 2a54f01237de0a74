"""What a run will take, as `train --dry-run` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from smoltolk.training.recipes.plan import Plan, StagePlan

_GB = 1e9


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
        f"{plan.hours:,.3g} hours on {devices} of {plan.peak_flops / 1e12:,.0f} TFLOP/s at {plan.mfu:.0%} of it"
        f" (--mfu, --devices, logging.peak_flops). Memory is that of"
        f" {'the first rows' if plan.from_rows else 'rows such as the mixture has'}."
    )


def _rows(plan: Plan) -> list[tuple[str, list[str]]]:
    stages = plan.stages
    tasks = dict.fromkeys(task for stage in stages for task in stage.ids_by_task)

    def gigabytes(stage: StagePlan, name: str) -> str:
        return f"{getattr(stage.rehearsal, name) / _GB:,.2f} GB"

    return [
        ("steps", [f"{stage.num_steps:,}" for stage in stages]),
        ("ids", [f"{stage.ids:,}" for stage in stages]),
        *((f"  {task}", [f"{stage.ids_by_task.get(task, 0):,}" for stage in stages]) for task in tasks),
        ("trained", [f"{stage.rehearsal.trained:,}" for stage in stages]),
        ("FLOPs", [f"{stage.flops:.3g}" for stage in stages]),
        ("hours", [f"{stage.hours:,.3g}" for stage in stages]),
        ("rows of a pass", [f"{stage.rows_of_a_pass}" for stage in stages]),
        ("memory of a device", [f"{stage.memory / _GB:,.2f} GB" for stage in stages]),
        *(
            (f"  {name}", [gigabytes(stage, name) for stage in stages])
            for name in ("weights", "gradients", "optimizer", "activations")
        ),
        ("  logits, in passing", [gigabytes(stage, "passing") for stage in stages]),
    ]
