"""What is left of text: tasks of lm-evaluation-harness, of a model and of the text model that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, require

PREFIX = "text/"  # before the harness's names on the command line, e.g. text/hellaswag


def harness_tasks(names: Sequence[str], folder: Path | None) -> Any:
    """The harness's tasks by their names, before a model is loaded.

    Args:
        names: of tasks.
        folder: of task files in the harness's format; None: those that it brings, which takes a minute to read.

    Raises:
        MissingExtraError: the harness is not installed.
        InputError: a name that it does not know.
    """
    require("lm_eval", "text retention")
    from lm_eval.tasks import TaskManager

    known = TaskManager(include_path=None if folder is None else str(folder), include_defaults=folder is None)
    unknown = [name for name in names if not known.match_tasks([name])]
    if unknown:
        raise InputError(
            "text/NAME is a task of lm-evaluation-harness",
            f"no {', '.join(unknown)}" + (f" in {folder}" if folder else ""),
            "lm-eval ls tasks shows what there is; task files of one's own: --data text=DIR",
        )
    return known


def text_scores(
    model: Any, tokenizer: Any, names: Sequence[str], known: Any, *, limit: int | None = None, batch_size: int = 8
) -> dict[str, dict[str, float]]:
    """Metrics of each task, e.g. ``{"hellaswag": {"acc": 0.41, "acc_stderr": 0.005, ..}}``.

    Args:
        model: a SmolTolk model, or any causal LM of transformers.
        tokenizer: of its text.
        names: of tasks.
        known: of :func:`harness_tasks`.
        limit: documents of each task; None: all.
        batch_size: of the harness.
    """
    import lm_eval
    from lm_eval.models.huggingface import HFLM

    device = str(next(model.parameters()).device)
    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size, device=device)
    done = lm_eval.simple_evaluate(harness, tasks=list(names), task_manager=known, limit=limit, bootstrap_iters=1000)
    return {
        name: {
            key.replace(",none", ""): float(value)
            for key, value in scores.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        for name, scores in done["results"].items()
    }
