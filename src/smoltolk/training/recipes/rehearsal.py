"""A step on tensors without numbers: what it would compute and hold, at full size, on any machine.

The model is made, and a batch goes through it and back, in torch's fake mode, where a tensor knows its shape alone. So
whatever a text model's own code keeps for the backward pass is counted, and no rule of thumb stands for it. What the
values of a batch decide (how many labels each head has) is answered as the batch has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedOperatorException,
)
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

from smoltolk.common.errors import InputError, first_line
from smoltolk.data.rows.loader import RowCollator
from smoltolk.data.rows.mixture import Task
from smoltolk.inference.lora import Origin
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.spans import SpanBatch
from smoltolk.training.hardware import Hardware
from smoltolk.training.optimization import set_trainable
from smoltolk.training.recipe import Recipe, Stage
from smoltolk.training.recipes.allocations import Allocations
from smoltolk.training.recipes.shapes import shapes_of
from smoltolk.training.tuning.lora import add_lora
from smoltolk.training.tuning.settings import LoraSettings

_aten = torch.ops.aten
# Of a word, in English: tokens, and units of 25 Hz whose repetitions are left out.
_IDS_OF_A_WORD = {"text": 1.4, "speech": 8.0}
_SPOKEN = {Task.SPEECH: 1.0, Task.TEXT: 0.0, Task.RECOGNITION: 0.85, Task.SYNTHESIS: 0.85}  # shares of ids


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a forward and a backward pass of some rows on one device take.

    Attributes:
        trained: parameters with a gradient.
        flops: of matrix products and attention (which is counted whole, causal or not).
        weights: bytes of the model.
        gradients: bytes of the gradients of what trains.
        optimizer: bytes of its moments.
        activations: bytes that the forward pass leaves for the backward pass.
        passing: bytes that come on top of these at the worst moment: logits, and what a layer needs while it computes.
    """

    trained: int
    flops: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    passing: int

    def most(self, accumulates: bool) -> int:
        """Bytes at the worst moment of a step.

        Args:
            accumulates: a step has several passes: the gradients of the former ones are held.
        """
        held = self.weights + self.optimizer
        return held + max(self.gradients, self.gradients * accumulates + self.activations + self.passing)


class _Counting(Allocations):
    """Counts FLOPs too, and answers what only values tell.

    Args:
        num_labels: that each head predicts, text first.
    """

    def __init__(self, num_labels: tuple[int, int], longest: int):
        super().__init__()
        self.flops = 0
        self._num_labels, self._longest = list(num_labels), longest

    def __torch_dispatch__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Run an operation."""
        if func is _aten.nonzero.default:  # the places of labels
            return torch.empty((self._num_labels.pop(0), args[0].ndim), dtype=torch.int64, device=args[0].device)
        if func is _aten._local_scalar_dense.default:  # nothing is wrong with the batch; or how long patches are
            return False if args[0].dtype == torch.bool else self._longest
        found = super().__torch_dispatch__(func, types, args, kwargs)
        self.flops += _flops(func, args, kwargs or {}, found)
        return found


def _flops(func: Any, args: tuple, kwargs: dict, found: Any) -> int:
    packet = getattr(func, "_overloadpacket", None)
    if packet is _aten._scaled_dot_product_flash_attention_for_cpu:
        return sdpa_flop_count(*(one.shape for one in args[:3]))
    if packet is _aten._scaled_dot_product_flash_attention_for_cpu_backward:
        return sdpa_backward_flop_count(*(one.shape for one in args[:4]))
    counted = flop_registry.get(packet)
    return 0 if counted is None else counted(*args, **kwargs, out_val=found)


def likely_batch(config: SmolTolkConfig, recipe: Recipe, stage: Stage, num_rows: int) -> dict[str, Any]:
    """Rows such as a stage has, made of nothing but its mixture and its runs.

    Args:
        config: of the model, for its ids.
        recipe, stage: form and mixture of the rows.
        num_rows: of the batch; the tasks take turns in it by their weights.
    """
    weights, space = dict(stage.mixture), config.id_space
    done = dict.fromkeys(weights, 0.0)
    rows = []
    for _ in range(num_rows):
        task = max(weights, key=lambda name: weights[name] / (done[name] + 1))
        done[task] += 1
        is_speech = _speech_in_row(Task(task), recipe)
        ids = torch.where(is_speech, space.speech_offset, 1)
        edges = torch.zeros_like(is_speech)
        edges[1:] = is_speech[1:] != is_speech[:-1]
        ids = ids.masked_fill(edges, space.switch)
        labels = ids.masked_fill(edges, -100)
        row = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
        if space.num_codebooks > 1:
            row["codes"] = torch.where(ids >= space.speech_offset, 0, -1)[:, None].repeat(1, space.num_codebooks - 1)
        rows.append(row | {"document_ids": torch.arange(len(ids)) * 2 // len(ids)})
    return RowCollator(space)(rows)


def _speech_in_row(task: Task, recipe: Recipe) -> Tensor:
    """bool [T]."""
    place = torch.arange(recipe.row_length)
    if task in _SPOKEN:
        return place < _SPOKEN[task] * recipe.row_length
    lengths = {kind: sum(getattr(recipe.spans, kind)) / 2 * ids for kind, ids in _IDS_OF_A_WORD.items()}
    text, speech = (max(1, round(lengths[kind])) for kind in ("text", "speech"))
    return place % (text + speech) >= text


def rehearse(
    config: SmolTolkConfig,
    recipe: Recipe,
    stage: Stage,
    batch: dict[str, Any],
    hardware: Hardware,
    lora: LoraSettings | None = None,
    *,
    speech_is_new: bool = True,
) -> Rehearsal:
    """What a pass of a batch takes.

    Args:
        config: of the model.
        recipe, stage: what trains.
        batch: of a collator, on the CPU; see :func:`likely_batch`.
        hardware: precision and checkpointing.
        lora: around the model; None: none.
        speech_is_new: as :func:`~smoltolk.training.tuning.lora.add_lora` takes it.

    Raises:
        InputError: a text model whose code looks at values, which are not there.
    """
    try:
        return _rehearse(config, stage, batch, hardware, lora, speech_is_new)
    except (DataDependentOutputException, DynamicOutputShapeException, UnsupportedOperatorException) as error:
        raise InputError(
            "memory and FLOPs are planned on tensors without numbers",
            f"the code of {type(config.text_config).__name__} asks for their values: {first_line(error)}",
            "try a step: a training tells its memory in its log",
        ) from error


def _rehearse(
    config: SmolTolkConfig,
    stage: Stage,
    batch: dict[str, Any],
    hardware: Hardware,
    lora: LoraSettings | None,
    speech_is_new: bool,
) -> Rehearsal:
    labels = batch["labels"][:, 1:]
    spoken = labels >= config.speech_offset
    num_labels = int((~spoken & (labels >= 0)).sum()), int(spoken.sum())
    kept = int((batch["input_ids"] < config.speech_offset).sum(1).max())
    longest = kept + (batch["input_ids"].shape[1] - kept) // config.patch_size
    model: Any = shapes_of(config).train()
    for parameter in model.parameters():
        parameter.data = parameter.data.to(hardware.torch_dtype)
    if lora is not None:
        model = add_lora(model, lora, Origin("plan", settings={}), speech_is_new=speech_is_new)
    with FakeTensorMode() as fake:
        _leave_meta(model)
        if hardware.gradient_checkpointing:
            model.gradient_checkpointing_enable()
        set_trainable(model, stage)
        inputs = {name: _faked(value, fake) for name, value in batch.items()}
        weights = [*model.parameters(), *model.buffers()]
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        with _Counting(num_labels, longest) as count:
            count.add(weights)
            before = count.alive
            with torch.autocast("cpu", torch.bfloat16, enabled=hardware.computes_bfloat16):
                loss = model(**inputs, use_cache=False, num_items_in_batch=sum(num_labels)).loss
            left = count.alive
            loss.backward()
            most = count.most
    in_training = sum(parameter.nbytes for parameter in trained)
    return Rehearsal(
        trained=sum(parameter.numel() for parameter in trained),
        flops=count.flops,
        weights=before,
        gradients=in_training,
        optimizer=2 * in_training,
        activations=left - before,
        passing=most - left,
    )


def _leave_meta(model: nn.Module) -> None:
    """From shapes to tensors of the fake mode, tied ones once: it begins here, for PEFT makes its matrices outside."""
    made: dict[Tensor, Tensor] = {}  # a tensor is known by itself, not by its numbers

    def real(tensor: Tensor) -> Tensor:
        if tensor not in made:
            empty = torch.empty(tensor.shape, dtype=tensor.dtype)
            made[tensor] = nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
        return made[tensor]

    for module in model.modules():
        held: Any
        for held in (module._parameters, module._buffers):
            held.update({name: real(tensor) for name, tensor in held.items() if tensor is not None})


def _faked(value: Any, fake: FakeTensorMode) -> Any:
    if isinstance(value, Tensor):
        return fake.from_tensor(value)
    return tuple(SpanBatch(*(fake.from_tensor(one) for one in (span.index, span.mask, span.slot))) for span in value)
