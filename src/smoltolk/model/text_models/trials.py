"""What a text model can do, tried out on a few of its own embeddings where no setting of transformers tells."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import DYNAMIC_LAYER_TYPE_MAPPING, get_layer_types_and_kwargs

from smoltolk.common.errors import InputError, first_line
from smoltolk.model.adapters import SpeechAdapter
from smoltolk.model.text_models.layers import adapter_cache_types
from smoltolk.model.text_models.precision import HALVES, can_be_float32, in_float32
from smoltolk.model.text_models.text_head import TextHead

_TRIED = 4  # positions of each half of what is tried
# Relative difference of what must be the same. Experts see batches of other sizes, which moves the last bits of what
# they compute (up to 6e-7); documents that see each other differ by 5e-3 and more.
_TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 3e-3}
# Where nothing but half precision can be asked: what sixty layers of it round to, twice over (1.1e-2 of bfloat16).
_SLACK = 8
# What other people's code raises where it was not made for this.
_FAILURES = (
    AssertionError, AttributeError, ImportError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip
_Result = TypeVar("_Result")


@torch.no_grad()
def check_text_model(text_model: PreTrainedModel) -> None:
    """Whether speech can be put around a text model: it is run on states, with a cache, and its head on final states.

    Raises:
        InputError: it takes no states, changes them, does not show its layers, looks ahead, minds padding, cannot go on
            from a cache, or its head cannot be asked alone.
    """
    decoder = text_model.base_model
    if decoder is text_model:
        raise _refused(text_model, "a text model must have a head, and below it a decoder of its own", "it has not")
    missing = {"inputs_embeds", "past_key_values"} - set(inspect.signature(decoder.forward).parameters)
    if missing:
        found = f"it knows no {' and no '.join(sorted(missing))}"
        raise _refused(text_model, "a text model must take states instead of ids, and keep a cache", found)
    with evaluating(text_model):
        ids = _some_ids(text_model, 1, 2 * _TRIED)
        states = text_model.get_input_embeddings()(ids)
        width = text_model.config.hidden_size
        if states.shape[-1] != width:
            rule = "a text model's embeddings must be as wide as its states: speech enters and leaves beside them"
            raise _refused(text_model, rule, f"embeddings of {states.shape[-1]}, states of {width}")
        _decide(text_model, states, _check_states)
        _check_head(text_model, ids, _layers(text_model, states)[-1])


def _decide(
    text_model: PreTrainedModel, states: Tensor, check: Callable[[PreTrainedModel, Tensor, float], None]
) -> None:
    """Ask in the precision of the weights; what half precision refuses is asked again in float32 if that can be.

    Raises:
        InputError: as the check.
    """
    try:
        check(text_model, states, 1)
    except InputError:
        if states.dtype not in HALVES:
            raise
        if _runs_in_float32(text_model, states):
            with in_float32(text_model.base_model):
                check(text_model, states.float(), 1)
        else:
            check(text_model, states, _SLACK)


def _runs_in_float32(text_model: PreTrainedModel, states: Tensor) -> bool:
    if not can_be_float32(text_model):
        return False
    try:
        with in_float32(text_model.base_model):
            return all(layer.dtype is torch.float32 for layer in _layers(text_model, states.float()))
    except _FAILURES:  # some of its code asks its weights for their precision
        return False


def _check_states(text_model: PreTrainedModel, states: Tensor, slack: float) -> None:
    layers = _check_layers(text_model, states, slack)
    _check_padding(text_model, states, layers[-1], slack)
    _check_cache(text_model, states, layers, slack)


def _check_layers(text_model: PreTrainedModel, states: Tensor, slack: float) -> tuple[Tensor, ...]:
    given = states.clone()
    rule = "a text model must run on states in place of ids"
    layers = _attempt(text_model, rule, lambda: _layers(text_model, states))
    if not torch.equal(states, given):  # they are added again behind the layers, as the residual
        raise _refused(text_model, "a text model must leave the states it is given as they are", "it changes them")
    num_layers = text_model.config.num_hidden_layers
    if len(layers) != num_layers + 1 or any(layer.shape != states.shape for layer in layers):
        found = f"{len(layers)} states of {sorted({tuple(layer.shape[1:]) for layer in layers})}"
        rule = f"a text model must show the states behind each of its {num_layers} layers, as wide as its embeddings"
        raise _refused(text_model, rule, found)
    changed = states.clone()
    changed[:, -1] = states[:, 0] - states[:, -1]
    if not _same(_layers(text_model, changed)[-1][:, :-1], layers[-1][:, :-1], slack):
        rule = "a text model must be causal: what follows must not change what stands before it"
        raise _refused(text_model, rule, "it looks ahead")
    return layers


def _check_padding(text_model: PreTrainedModel, states: Tensor, final: Tensor, slack: float) -> None:
    rule = "padding in front of a row must change nothing, as batches of prompts have it"
    half = _TRIED // 2
    padded = torch.cat([states[:, -half:], states], dim=1)
    mask = torch.ones(padded.shape[:2], dtype=torch.long, device=states.device)
    mask[:, :half] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    behind = _attempt(text_model, rule, lambda: _layers(text_model, padded, position_ids=positions, mask=mask)[-1])
    if not _same(behind[:, half:], final, slack):
        raise _refused(text_model, rule, "padding changes what it computes")


def _check_cache(text_model: PreTrainedModel, states: Tensor, layers: tuple[Tensor, ...], slack: float) -> None:
    def in_steps() -> list[tuple[Tensor, ...]]:
        config = text_model.config
        get_layer_types_and_kwargs(config)  # which the cache of backbone and adapters together goes by
        cache = Cache(layers=DynamicCache(config=config).layers[: config.num_hidden_layers])
        return [_layers(text_model, part, cache) for part in states.split([_TRIED, 1, 1, _TRIED - 2], dim=1)]

    rule = "a text model must go on from a cache as if it read all at once"
    steps = _attempt(text_model, rule, in_steps)
    for whole, *parts in zip(layers, *steps, strict=True):
        if not _same(torch.cat(parts, dim=1), whole, slack):
            raise _refused(text_model, rule, "with a cache it computes something else")


@torch.no_grad()
def goes_on_from_cache(text_model: PreTrainedModel) -> bool:
    """Whether a causal LM goes on from a cache as if it read all at once: tried, without autocast."""
    with evaluating(text_model), torch.autocast(text_model.device.type, enabled=False):
        try:
            states = text_model.get_input_embeddings()(_some_ids(text_model, 1, 2 * _TRIED))
            _decide(text_model, states, lambda model, x, slack: _check_cache(model, x, _layers(model, x), slack))
        except (InputError, *_FAILURES):
            return False
    return True


def _check_head(text_model: PreTrainedModel, ids: Tensor, final: Tensor) -> None:
    rule = "a text model's head must read its final states alone"
    alone = _attempt(text_model, rule, lambda: TextHead()(text_model, final[0]))
    whole = _attempt(text_model, rule, lambda: text_model(input_ids=ids, use_cache=False).logits[0])
    if alone.shape != whole.shape or not _same(alone, whole):
        raise _refused(text_model, rule, "from the same states the whole model makes other logits")


def trial_adapter(text_model: PreTrainedModel, text_config: PreTrainedConfig) -> SpeechAdapter:
    """An adapter of one of the text model's blocks, tried out: it reads states as they are, and knows their order.

    One block alone, since in deeper ones the second sees the order that the first was given.

    Args:
        text_model: for the message.
        text_config: whose blocks they are.

    Raises:
        InputError: it is none.
    """
    rule = "adapters are made of the text model's attention layers, which must run alone and go on from a cache"
    exact = copy.deepcopy(text_config)
    exact.dtype = torch.float32  # what fresh blocks add is less than the last bit of a bfloat16
    with torch.random.fork_rng(devices=[]):
        adapter = _attempt(text_model, rule, lambda: SpeechAdapter(exact, 1))
    _check_adapter(text_model, adapter, rule)
    return adapter


@torch.no_grad()
def _check_adapter(text_model: PreTrainedModel, adapter: SpeechAdapter, rule: str) -> None:
    with evaluating(adapter):
        states = _random_states(adapter, 1, 2 * _TRIED)
        (behind,) = _attempt(text_model, rule, lambda: adapter(states))
        swapped = states[:, [1, 0, *range(2, 2 * _TRIED)]]
        if _same((adapter(swapped)[0] - swapped)[:, -1], (behind - states)[:, -1]):
            found = "its attention layers have no positions: other layers tell it where things stand"
            raise _refused(text_model, "the layers that adapters are made of must know the order of positions", found)
        both = (adapter.model(inputs_embeds=x, output_hidden_states=True) for x in (states, 2 * states))
        once, twice = (output.hidden_states[0] for output in both)
        if not _same(twice - once, states):
            raise _refused(text_model, "adapters must read states as they are", "it scales or norms its embeddings")
        cache = Cache(layers=[DYNAMIC_LAYER_TYPE_MAPPING[kind]() for kind in adapter_cache_types(adapter.config, 1)])
        steps = states.split([_TRIED, 1, _TRIED - 1], dim=1)
        parts = _attempt(text_model, rule, lambda: [adapter(part, past_key_values=cache)[0] for part in steps])
        if not _same(torch.cat(parts, dim=1), behind):
            raise _refused(text_model, rule, "with a cache they compute something else")


@torch.no_grad()
def packs_documents(text_model: PreTrainedModel) -> bool:
    """Whether the model keeps packed documents apart by positions that restart: tried, since no setting tells.

    The second of two documents must come out the same whatever the first one is.
    """
    with evaluating(text_model):
        positions = _positions(text_model.device)
        states = text_model.get_input_embeddings()(_some_ids(text_model, 3, _TRIED))

        def run(both: Tensor) -> Tensor:
            return _layers(text_model, both, position_ids=positions)[-1]

        apart = _keeps_apart(states, run)
        if not apart and states.dtype in HALVES and _runs_in_float32(text_model, states):  # experts round by shape
            with in_float32(text_model.base_model):
                apart = _keeps_apart(states.float(), run)
        return apart


@torch.no_grad()
def masks_spans(adapter: SpeechAdapter) -> bool:
    """Whether an adapter takes a ready mask: tried, as in :func:`packs_documents`. ALiBi may take flags alone."""
    with evaluating(adapter):
        half = torch.arange(2 * _TRIED) // _TRIED
        visible = ((half[:, None] == half) & torch.ones(2 * _TRIED, 2 * _TRIED, dtype=torch.bool).tril())[None]
        states = _random_states(adapter, 3, _TRIED)

        def run(both: Tensor) -> Tensor:
            return adapter(both, adapter.mask(both, visible), _positions(both.device))[-1]

        try:
            return _keeps_apart(states, run)
        except _FAILURES:
            return False


def _keeps_apart(halves: Tensor, run: Callable[[Tensor], Tensor]) -> bool:
    """Whether the second half of a sequence comes out the same whatever the first half is; halves [3, 4, D]."""
    first, other, second = halves.split(1)
    behind, behind_other = (run(torch.cat([before, second], dim=1))[:, _TRIED:] for before in (first, other))
    return _same(behind, behind_other)


def _same(found: Tensor, expected: Tensor, slack: float = 1) -> bool:
    """Relative, over all elements: last bits of some do not count, documents that see each other change them all."""
    difference = (found.double() - expected.double()).norm() / expected.double().norm().clamp(min=1e-30)
    return bool(difference <= slack * _TOLERANCE[expected.dtype])


def _layers(
    text_model: PreTrainedModel,
    states: Tensor,
    cache: Cache | None = None,
    position_ids: Tensor | None = None,
    mask: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """The embeddings and the states behind each layer, the last ones behind the final norm, as the model reads them."""
    output = text_model.base_model(
        inputs_embeds=states,
        attention_mask=mask,
        position_ids=position_ids,
        past_key_values=cache,
        use_cache=cache is not None,
        output_hidden_states=True,
    )
    return (*output.hidden_states[:-1], output.last_hidden_state)


def _attempt(text_model: PreTrainedModel, rule: str, run: Callable[[], _Result]) -> _Result:
    try:
        return run()
    except InputError:
        raise
    except _FAILURES as error:
        raise _refused(text_model, rule, f"{type(error).__name__}: {first_line(error)[:200]}") from error


def _refused(text_model: PreTrainedModel, rule: str, found: str) -> InputError:
    fix = "use another architecture of decoder-only text models (docs/architectures.md lists them)"
    return InputError(rule, f"{type(text_model).__name__}: {found}", fix)


def _some_ids(text_model: PreTrainedModel, num_rows: int, length: int) -> Tensor:
    """[num_rows, length], each id once."""
    num_ids = text_model.get_input_embeddings().weight.shape[0]
    order = torch.randperm(num_ids, generator=torch.Generator().manual_seed(0))
    return order.repeat(num_rows * length // num_ids + 1)[: num_rows * length].view(num_rows, -1).to(text_model.device)


def _random_states(adapter: SpeechAdapter, num_rows: int, length: int) -> Tensor:
    """[num_rows, length, D]."""
    states = torch.randn(num_rows, length, adapter.config.hidden_size, generator=torch.Generator().manual_seed(0))
    return states.to(next(adapter.parameters()))


def _positions(device: torch.device) -> Tensor:
    """[1, 8], of two halves."""
    return torch.arange(_TRIED, device=device).repeat(2)[None]


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode, for a while."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
