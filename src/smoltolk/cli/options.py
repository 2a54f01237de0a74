"""Options that several verbs share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from smoltolk.common.seed_range import check_seed
from smoltolk.common.stopping import CONTINUES, say_when_stopped

if TYPE_CHECKING:
    from smoltolk.training.changes import Changes


class Continuing(TyperCommand):
    """A verb that goes on where it was stopped."""

    def invoke(self, ctx: Any) -> Any:
        say_when_stopped(CONTINUES)
        return super().invoke(ctx)


def check_seed_given(seed: int | None) -> int | None:
    """A seed that may be left out; see :func:`check_seed`."""
    return None if seed is None else check_seed(seed)


Workers = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Processes; default: one per processor; 0: no others.")
]
Seed = Annotated[int, typer.Option(callback=check_seed, help="Of every random choice.")]
# What decides the rows of a training: `train` takes it, and so does `inspect`, to show the same rows.
Text = Annotated[Path | None, typer.Option(help="Running text; default: the shards' own.")]
PresetName = Annotated[str | None, typer.Option(help="small, 150m, 400m, 2b; default: by size.")]
RowLength = Annotated[int | None, typer.Option(help="Ids of a row.")]
Mixture = Annotated[str | None, typer.Option(help="Of stage 2, e.g. speech=1,synthesis=0.5.")]
Stage1Mixture = Annotated[str | None, typer.Option(help="Of stage 1; default: interleaved.")]
Spans = Annotated[str | None, typer.Option(help="Words in runs of text, speech: 2-6,2-6.")]
PredictSwitch = Annotated[bool, typer.Option("--predict-switch", help="Learn when to change the modality, too.")]
Index = Annotated[Path | None, typer.Option(help="Of tokens and units, on disk; see the docs.")]

Logger = Annotated[str | None, typer.Option(help="tensorboard (default), trackio,wandb, none.")]
HoldOut = Annotated[
    Path | None, typer.Option(help="Ids of utterances that nothing is learnt from, one a line; default: a tenth.")
]


def sharing(shared: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Options of several verbs, said once: what is made of them is the first argument of each verb.

    Args:
        shared: takes the options that are shared; a verb's own ones come behind them.
    """

    def of_a_verb(verb: Callable[..., None]) -> Callable[..., None]:
        common = inspect.signature(shared, eval_str=True).parameters.values()
        _, *own = inspect.signature(verb, eval_str=True).parameters.values()

        @functools.wraps(verb)
        def whole(**given: Any) -> None:
            mine = {option.name: given.pop(option.name) for option in own}
            verb(shared(**given), **mine)

        options = [*common, *own]
        whole.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        whole.__annotations__ = {option.name: option.annotation for option in options}
        return whole

    return of_a_verb


def read_ids(path: Path | None) -> tuple[str, ...]:
    """Ids of a file, one a line, each once; none without a file.

    Raises:
        NotFoundError: no such file.
        InputError: it names none.
    """
    if path is None:
        return ()
    from smoltolk.common.errors import InputError, NotFoundError

    if not path.is_file():
        raise NotFoundError("ids are lines of a file", f"no file {path}", "check the path")
    ids = dict.fromkeys(path.read_text(encoding="utf-8", errors="replace").split())  # no id has a space
    if not ids:
        raise InputError("a file of ids names one at least", f"{path} is empty", "write an id a line")
    return tuple(ids)


def changes_of(
    *,
    steps: int | None = None,
    row_length: int | None = None,
    rows_per_step: int | None = None,
    rates: dict[str, float | None] | None = None,
    mixture: str | None = None,
    stage1_mixture: str | None = None,
    spans: str | None = None,
    predict_switch: bool = False,
) -> Changes:
    """What the options change of a preset.

    Raises:
        InputError: a mixture or spans that cannot be read.
    """
    from smoltolk.training.changes import Changes, parse_mixture, parse_spans

    return Changes(
        steps=steps,
        row_length=row_length,
        rows_per_step=rows_per_step,
        rates={name: rate for name, rate in (rates or {}).items() if rate is not None},
        mixture=None if mixture is None else parse_mixture(mixture),
        speech_mixture=None if stage1_mixture is None else parse_mixture(stage1_mixture),
        spans=None if spans is None else parse_spans(spans),
        predict_switch=predict_switch or None,
    )
