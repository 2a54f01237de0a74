"""A run as data: one tree of settings that decides all of it, and can be changed, printed and read as YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from smoltolk.common.errors import InputError
from smoltolk.common.seed_range import check_seed
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.model.choices import LayerMixMode, LayerMixPool
from smoltolk.training.hardware import Hardware
from smoltolk.training.loop.settings import Logging
from smoltolk.training.recipe import Recipe, Stage
from smoltolk.training.recipes.binding import changed
from smoltolk.training.systems import Settings, settings_of, system_named
from smoltolk.training.tuning.settings import Tuning

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What is built: a text model, and speech around it.

    Attributes:
        text_model: hub id or directory; its tokenizer lies with it.
        system: one of :data:`smoltolk.training.systems.SETTINGS`.
        num_input_layers, num_output_layers: of the paper's adapters; a system uses them as it does.
        predict_switch: train ``<switch>`` too, so that the model can choose when to change its modality.

    The others are settings of :class:`~smoltolk.model.configuration.SmolTolkConfig` by their names there; None leaves
    what the system has, or else the model's default.
    """

    text_model: str | None = None
    system: str = "late"
    num_input_layers: int = 2
    num_output_layers: int = 2
    predict_switch: bool = False
    layer_mix: LayerMixMode | None = None
    layer_mix_pool: LayerMixPool | None = None
    layer_mix_norm: bool | None = None
    last_layer_lead: float | None = None
    fission_layer: int | None = None
    copies_top_layers: bool | None = None
    new_layers: tuple[int, ...] | None = None
    frozen_text_model: bool | None = None
    patch_size: int | None = None
    input_adapter_size: dict[str, Any] | None = None
    output_adapter_size: dict[str, Any] | None = None
    speech_residual: bool | None = None
    tie_speech_embeddings: bool | None = None
    entropy_weight: float | None = None
    codebook_delays: tuple[int, ...] | None = None
    codebook_weights: tuple[float, ...] | None = None
    initializer_range: float | None = None

    def __post_init__(self) -> None:
        system_named(self.system)

    def settings(self, text_config: PreTrainedConfig) -> Settings:
        """What ``SmolTolkForCausalLM.from_text_model`` is given, ``predict_switch`` aside.

        Args:
            text_config: of the text model.

        Raises:
            InputError: no such system.
        """
        made = settings_of(
            self.system,
            text_config,
            num_input_layers=self.num_input_layers,
            num_output_layers=self.num_output_layers,
        )
        return made | {name: list(v) if isinstance(v, tuple) else v for name, v in self.given.items()}

    @property
    def given(self) -> dict[str, Any]:
        """The settings that the system does not decide here."""
        names = [one.name for one in fields(self)][_OF_THE_SYSTEM:]
        return {name: value for name in names if (value := getattr(self, name)) is not None}


_OF_THE_SYSTEM = 5  # fields of ModelSettings before those of the model's own configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings:
    """What is read, and how it becomes rows.

    Attributes:
        shards: directory of shards; here, or on an object store: ``s3://bucket/shards``.
        text: running text, a document a line, here or there; None: the shards' own.
        units: directory of the unit tokenizer that the shards must be of; None accepts any.
        index: where to keep indexes of the shards and the text; None: beside large ones.
        row_length: T, ids a row.
        spans: words in the runs of interleaved documents.
        prompted_length: most ids of a recognition or synthesis document; None: as many as a row.
    """

    shards: str | None = None
    text: str | None = None
    units: str | None = None
    index: str | None = None
    row_length: int = 2048
    spans: SpanLengths = field(default_factory=SpanLengths)
    prompted_length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimisation:
    """How steps are made, and how often they are kept; see :class:`~smoltolk.training.recipe.Recipe`."""

    rows_per_step: int = 512
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.1
    max_grad_norm: float = 1.0
    layer_decay: float = 1.0
    save_steps: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecipe:
    """Everything that decides a training.

    Attributes:
        name: for people and logs; it decides nothing.
        model: what is built.
        data: what is read.
        stages: in order; see :class:`~smoltolk.training.recipe.Stage`.
        optimisation: how steps are made.
        hardware: what it runs on, and how.
        logging: what is measured and written down meanwhile.
        tuning: from where it starts, where that is not a text model.
        seed: of new parameters and rows.
        out: the model directory; checkpoints lie in ``OUT.work`` until it is whole.
    """

    name: str = "run"
    model: ModelSettings = field(default_factory=ModelSettings)
    data: DataSettings = field(default_factory=DataSettings)
    stages: tuple[Stage, ...]
    optimisation: Optimisation = field(default_factory=Optimisation)
    hardware: Hardware = field(default_factory=Hardware)
    logging: Logging = field(default_factory=Logging)
    tuning: Tuning = field(default_factory=Tuning)
    seed: int = 0
    out: str | None = None

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if not names or len(set(names)) < len(names):
            raise InputError("a run has stages, each with a name of its own", f"{names}", "name each once")
        check_seed(self.seed)
        self.recipe()  # looks at the numbers
        idle = [stage.name for stage in self.stages if not stage.mixture]
        if idle:
            raise InputError("a stage has tasks", f"{idle[0]}: mixture = {{}}", "write e.g. {interleaved: 1}")

    def recipe(self) -> Recipe:
        """Its stages, and what they share."""
        return Recipe(
            stages=self.stages,
            bf16=self.hardware.autocast,
            predict_switch=self.model.predict_switch,
            **{name: getattr(self.optimisation, name) for name in _SHARED[Optimisation]},
            **{name: getattr(self.data, name) for name in _SHARED[DataSettings]},
        )

    def changed(self, changes: Mapping[str, Any]) -> RunRecipe:
        """The same run with other settings.

        Args:
            changes: by name, those of a part as a mapping, of a stage by its number or name:
                ``{"model": {"layer_mix": "static"}, "stages": {"stage2": {"learning_rate": 1e-4}}}``.

        Raises:
            InputError: an unknown name, or a value that does not fit.
        """
        return changed(self, changes)

    def with_recipe(self, recipe: Recipe) -> RunRecipe:
        """The same run with other stages, and what they share: :meth:`recipe` gives them back."""
        return replace(
            self,
            stages=recipe.stages,
            model=replace(self.model, predict_switch=recipe.predict_switch),
            data=replace(self.data, **{name: getattr(recipe, name) for name in _SHARED[DataSettings]}),
            optimisation=Optimisation(**{name: getattr(recipe, name) for name in _SHARED[Optimisation]}),
            hardware=replace(self.hardware, autocast=recipe.bf16),
        )


# What of a Recipe lies where in the tree.
_SHARED = {
    DataSettings: ("row_length", "spans", "prompted_length"),
    Optimisation: tuple(one.name for one in fields(Optimisation)),
}
