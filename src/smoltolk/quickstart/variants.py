"""What an ablation compares: systems, each with what it has otherwise than the quick start's, and a recipe of its own.

A row is added by a line in :data:`VARIANTS`: then ``smoltolk ablate`` trains it, and its test builds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedConfig

from smoltolk.common.errors import named
from smoltolk.training.recipe import Recipe
from smoltolk.training.schedules import longer, single_stage
from smoltolk.training.systems import Settings, half_width


def _as_it_is(recipe: Recipe) -> Recipe:
    return recipe


def _nothing_more(text_config: PreTrainedConfig) -> Settings:
    return {}


def _given(**settings: Any) -> Callable[[PreTrainedConfig], Settings]:
    return lambda text_config: settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A row of the table.

    Attributes:
        name: on the command line and in files.
        title: in the table and the figure.
        system: one of :data:`smoltolk.training.systems.SETTINGS`.
        settings: of the model, beyond the system's; asked for with the text model's configuration.
        change: of the recipe.
        same_compute: ``(slow, fast)``, names of two variants: it trains as many times longer as the first took than the
            second, in measured seconds of the first seed. None: by its recipe.
    """

    name: str
    title: str
    system: str
    settings: Callable[[PreTrainedConfig], Settings] = _nothing_more
    change: Callable[[Recipe], Recipe] = _as_it_is
    same_compute: tuple[str, str] | None = None


VARIANTS = (
    Variant(name="late", title="late", system="late"),
    Variant(name="early", title="early", system="early"),
    Variant(name="early_plus", title="early+", system="early_plus"),
    Variant(name="early_long", title="early, 3 times as long", system="early", change=longer(3)),
    Variant(name="early_same_compute", title="early, as much compute", system="early", same_compute=("late", "early")),
    # Late fusion without one of its parts, or with another in its place.
    Variant(name="no_late_fusion", title="no late fusion", system="no_late_fusion"),
    Variant(name="no_late_fission", title="no late fission", system="no_late_fission"),
    Variant(
        name="neither",
        title="selector and residual alone",
        system="late",
        settings=_given(num_input_layers=0, num_output_layers=0),
    ),
    Variant(name="last_layer", title="last layer alone", system="last_layer"),
    Variant(name="leaning", title="begins at the last layer", system="leaning"),
    Variant(name="static_mix", title="static mix", system="static_mix"),
    Variant(name="no_residual", title="no residual", system="no_residual"),
    Variant(name="no_entropy", title="no entropy term", system="late", settings=_given(entropy_weight=0.0)),
    Variant(name="single_stage", title="one stage", system="late", change=single_stage),
    Variant(name="narrow", title="half as wide, no residual", system="late", settings=half_width),
    # Other ways to put speech around a text model.
    Variant(name="patches", title="patches of 4 units", system="patches"),
    Variant(name="split_top", title="split top layers", system="split_top"),
    Variant(name="inserted", title="inserted layers", system="inserted"),
)
# These are worked on first, for a run may have to end before it is done.
FIRST = ("late", "early", "early_plus", "early_long", "no_late_fusion", "no_late_fission", "last_layer")
_BY_NAME = {variant.name: variant for variant in VARIANTS}
IN_TURN = tuple(dict.fromkeys((*FIRST, *_BY_NAME)))  # names, in the order of work


def variant_named(name: str) -> Variant:
    """The variant of that name.

    Raises:
        InputError: there is none.
    """
    return named("a variant", name, _BY_NAME, "choose among them")
