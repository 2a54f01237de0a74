"""A training run as data: its stages, what each trains on what, and how large a text model of its own is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from smoltolk.common.errors import InputError
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Task

Trainable = Literal["speech", "all"]
# Parameters that may have a rate of their own: of the text model's its layers and its tables (embedding and head), and
# all that it did not bring: adapters, layer mix, speech tables, the rows of the control ids, new layers.
Group = Literal["backbone", "speech", "text_tables"]
GROUPS: tuple[Group, ...] = get_args(Group)


@dataclass(frozen=True, slots=True)
class BackboneSize:
    """A Llama in four numbers."""

    hidden_size: int = 128
    num_layers: int = 4
    num_heads: int = 4
    vocab_size: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of training with an optimizer of its own.

    Attributes:
        name: names its directory.
        num_steps: optimizer steps.
        trainable: ``speech``: only what the text model did not bring (stage 1 of the paper); ``all``: everything.
        learning_rate: peak rate.
        warmup_steps: linear rise to it.
        decay_steps: linear fall to 0 over the last steps; 0 keeps the rate constant.
        mixture: weight of each task (speech, text, interleaved, recognition, synthesis); one of 0 is left out. Empty:
            the rows are others.
        factors: of the learning rate, by group of parameters (see :data:`Group`); 0 freezes. What is not named here
            is as ``trainable`` says: 1, or 0.
    """

    name: str
    num_steps: int
    trainable: Trainable
    learning_rate: float
    warmup_steps: int = 100
    decay_steps: int = 0
    mixture: dict[str, float] = field(default_factory=lambda: {"interleaved": 1.0})
    factors: dict[Group, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        odd = [f"{name} = {factor}" for name, factor in self.factors.items() if not 0 <= factor < float("inf")]
        odd += [name for name in self.factors if name not in GROUPS]
        if odd or not any(map(self.factor, GROUPS)):
            raise InputError(
                f"a stage has a factor of 0 or more for each of {', '.join(GROUPS)}, and one above 0",
                f"{self.name}: {', '.join(odd) or 'all are 0'}",
                "name the groups so, and leave out those that train at the stage's own rate",
            )
        self._check_mixture()
        if not 0 < self.learning_rate < float("inf"):
            raise InputError("a learning rate must be above 0", f"{self.name}: {self.learning_rate}", "give e.g. 3e-4")
        if (
            self.num_steps < 1
            or min(self.warmup_steps, self.decay_steps) < 0
            or self.warmup_steps + self.decay_steps > self.num_steps
        ):
            raise InputError(
                "a stage's warm-up and decay must fit into its steps",
                f"{self.name}: {self.warmup_steps} + {self.decay_steps} of {self.num_steps} steps",
                "give it more steps or a shorter warm-up",
            )

    def _check_mixture(self) -> None:
        odd = [
            f"{name} = {weight}"
            for name, weight in self.mixture.items()
            if name not in set(Task) or not 0 <= weight < float("inf")
        ]
        if odd or (self.mixture and not any(self.mixture.values())):
            raise InputError(
                f"a mixture gives weights of 0 or more to {', '.join(Task)}, and one above 0",
                f"{self.name}: {', '.join(odd) or 'all are 0'}",
                "write e.g. {speech: 1, text: 1, interleaved: 1}",
            )
        object.__setattr__(self, "mixture", {name: weight for name, weight in self.mixture.items() if weight})

    def factor(self, group: Group) -> float:
        """Of the learning rate, for a group of parameters; 0: it does not train."""
        return self.factors.get(group, 1.0 if self.trainable == "all" or group == "speech" else 0.0)

    def rate_at(self, step: int) -> float:
        """Factor of the peak rate at an optimizer step counted from 0."""
        rise = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        fall = min(1.0, (self.num_steps - step) / self.decay_steps) if self.decay_steps else 1.0
        return max(0.0, min(rise, fall))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Stages, and what they share.

    Attributes:
        stages: in order.
        row_length: T, ids a row.
        rows_per_step: rows an optimizer step, all devices together.
        betas, weight_decay: of AdamW; decay acts on matrices only.
        max_grad_norm: longer gradients are cut to it; 0: none are.
        layer_decay: the rate of backbone layer l of 1..L is multiplied by ``layer_decay ** (L - l)``, that of the text
            embedding by ``layer_decay ** L``; 1: all alike. What the text model did not bring has no part in it.
        bf16: autocast to bfloat16 over float32 weights; None: where the device multiplies it by itself.
        spans: words in the runs of interleaved documents.
        prompted_length: most ids of a recognition or synthesis document; None: as many as a row.
        predict_switch: train ``<switch>`` too, so that the model can choose when to change its modality.
        save_steps: optimizer steps between checkpoints.
    """

    stages: tuple[Stage, ...]
    row_length: int = 2048
    rows_per_step: int = 512
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.1
    max_grad_norm: float = 1.0
    layer_decay: float = 1.0
    bf16: bool | None = None
    spans: SpanLengths = field(default_factory=SpanLengths)
    prompted_length: int | None = None
    predict_switch: bool = False
    save_steps: int = 500

    def __post_init__(self) -> None:
        if not 0 < self.layer_decay <= 1:
            raise InputError(
                "layer_decay is above 0 and at most 1", f"{self.layer_decay}", "give e.g. 0.9, or 1 for none"
            )
        for name in ("row_length", "rows_per_step", "save_steps", "prompted_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be 1 or more", f"{value}", "give a positive number")
        if not all(0 <= beta < 1 for beta in self.betas) or not (self.weight_decay >= 0 and self.max_grad_norm >= 0):
            raise InputError(
                "AdamW has two betas from 0 to below 1, and a decay and a greatest norm of 0 or more",
                f"betas {self.betas}, weight_decay {self.weight_decay}, max_grad_norm {self.max_grad_norm}",
                "give e.g. betas [0.9, 0.95], weight_decay 0.1 and max_grad_norm 1",
            )

    @property
    def num_steps(self) -> int:
        """Optimizer steps over all stages."""
        return sum(stage.num_steps for stage in self.stages)

    @property
    def num_ids(self) -> int:
        """Ids seen over all stages, padding included."""
        return self.num_steps * self.rows_per_step * self.row_length
