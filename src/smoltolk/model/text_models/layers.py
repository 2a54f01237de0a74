"""The blocks of a text model: where they are, what its configuration says of each, and new ones among them."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from smoltolk.common.errors import InputError, first_line
from smoltolk.model.text_models.identity import silence
from smoltolk.model.text_models.skeleton import partly_weightless

# Settings with one entry per layer, where an architecture has them.
LAYER_WISE = (
    "layer_types", "mlp_layer_types", "layers_block_type", "attention_layers", "indexer_types", "no_rope_layers",
    "layer_rope_theta", "num_attention_heads_per_layer", "intermediate_size", "activation_sparsity_pattern",
)  # fmt: skip
# Kinds of attention in the order in which adapters want them. Where some layers slide, these are the ones that know
# positions in every architecture; the full ones often go without. Chunked ones are those of Llama 4, for which the same
# holds. The others say nothing of positions.
_PREFERRED = ("sliding_attention", "chunked_attention", "full_attention", "global", 1)
_KINDS = ("layer_types", "layers_block_type", "attention_layers", "no_rope_layers")
_TRIED = 8  # positions on which a deeper model is compared with the one it came from


def layer_wise(config: PreTrainedConfig) -> dict[str, list[Any]]:
    """The settings of a configuration that have one entry per layer and are kept, not worked out from others."""
    found = {name: vars(config).get(name) for name in LAYER_WISE}
    return {
        name: list(values)
        for name, values in found.items()
        if isinstance(values, list | tuple) and len(values) == config.num_hidden_layers
    }


def attention_layers(config: PreTrainedConfig) -> list[int]:
    """Numbers of the layers that adapters can be made of: those that attend, and know positions if any of them do.

    Raises:
        InputError: all layers are of kinds that keep a state instead.
    """
    chosen = list(range(config.num_hidden_layers))
    for name, values in layer_wise(config).items():
        if name not in _KINDS:
            continue
        attend = [kind for kind in dict.fromkeys(values) if kind == 1 or _attends(kind)]
        if name != "no_rope_layers" and not attend:
            raise InputError(
                "adapters are made of the text model's own attention layers",
                f"{type(config).__name__} has layers of {', '.join(map(str, dict.fromkeys(values)))} alone",
                "use a decoder-only transformer, or a hybrid that has attention layers too",
            )
        attend.sort(key=lambda kind: _PREFERRED.index(kind) if kind in _PREFERRED else len(_PREFERRED))
        chosen = [i for i in chosen if not attend or values[i] == attend[0]] or chosen
    return chosen


def all_attend(config: PreTrainedConfig, numbers: Iterable[int]) -> bool:
    """Whether these layers attend, all of them, and none keeps a state instead."""
    kinds = [values for name, values in layer_wise(config).items() if name in _KINDS and name != "no_rope_layers"]
    return all(_attends(values[number]) for values in kinds for number in numbers)


def adapter_cache_types(config: PreTrainedConfig, num_layers: int) -> list[str]:
    """Kinds of cache layers, as ``layer_types`` of transformers' caches, for an adapter of that many layers.

    An adapter sees all before it, so windows need none of their own; what an architecture keeps beside keys and values
    does.
    """
    kinds, like = layer_wise(config).get("layer_types", []), attention_layers(config)
    chosen = [kinds[like[i % len(like)]] if kinds else "full_attention" for i in range(num_layers)]
    return ["full_attention" if kind in _PREFERRED else kind for kind in chosen]


def _attends(kind: Any) -> bool:
    return kind in _PREFERRED or (str(kind).endswith("attention") and kind != "linear_attention")


def block_list(model: nn.Module, num_layers: int | None = None) -> tuple[str, nn.Module, nn.ModuleList]:
    """The list of blocks: its name, the module that holds it, and the list.

    Among the lists of ``num_layers`` modules (of any length where None) that lie in no other list, the one with the
    most parameters; beside it an architecture may keep lists of small parts.

    Raises:
        InputError: there is none.
    """
    lists = [
        (name, child)
        for name, child in model.named_modules()
        if isinstance(child, nn.ModuleList) and num_layers in (None, len(child))
    ]
    outer = [(name, child) for name, child in lists if not any(name.startswith(f"{other}.") for other, _ in lists)]
    if not outer:
        raise InputError(
            "speech is put around a list of blocks, and its adapters are made of such blocks",
            f"{type(model).__name__} has no list of {'' if num_layers is None else f'{num_layers} '}blocks",
            "use a decoder-only text model",
        )
    name, blocks = max(outer, key=lambda found: sum(parameter.numel() for parameter in found[1].parameters()))
    return name, model.get_submodule(name.rpartition(".")[0]), blocks


def layer_parameter_names(text_model: PreTrainedModel, places: Iterable[int]) -> list[str]:
    """Names of the parameters that the blocks at these places hold."""
    name, _, _ = block_list(text_model, text_model.config.num_hidden_layers)
    wanted = {f"{name}.{place}" for place in places}
    depth = name.count(".") + 2
    return [key for key, _ in text_model.named_parameters() if ".".join(key.split(".")[:depth]) in wanted]


def with_new_layers(text_model: PreTrainedModel, places: Sequence[int], seed: int = 0) -> PreTrainedModel:
    """A deeper text model, with new blocks at ``places``; the weights of its old blocks are those of the text model.

    A new block is of the kind (attention, window, experts) of the one before it; the first, of the one behind it. The
    old ones keep their order and their weights. New blocks among them are copies of that one that add nothing yet (see
    :func:`smoltolk.model.text_models.identity.silence`), so that the deeper model computes what the text model does;
    those behind the last old one are freshly initialised.

    Args:
        text_model: left as it is; both have its weights from then on, which lie in memory once.
        places: of the new blocks, counted in the deeper model: 0 is the first block there. With L old blocks,
            ``[L, L + 1]`` appends two of them behind the last, before the final norm.
        seed: of the fresh blocks.

    Raises:
        InputError: places that are no places, or an architecture whose blocks depend on where they stand.
    """
    num_old, new = text_model.config.num_hidden_layers, sorted(set(places))
    total = num_old + len(new)
    if not new or len(new) != len(places) or not (new[0] >= 0 and new[-1] < total):
        raise InputError(
            f"new layers stand at different places from 0 to {total - 1} of the deeper text model",
            f"new_layers = {list(places)} for a text model of {num_old} layers",
            f"append them with {list(range(num_old, total))}" if new else "name at least one place",
        )
    old = [place for place in range(total) if place not in new]
    # Where each block of the deeper model has its kind from, as a number of an old block.
    kinds = [max(sum(other <= place for other in old) - 1, 0) for place in range(total)]
    config = copy.deepcopy(text_model.config)
    config.num_hidden_layers = total
    for name, values in layer_wise(text_model.config).items():
        setattr(config, name, type(getattr(config, name))(values[kind] for kind in kinds))
    try:
        if layer_wise(type(config).from_dict(config.to_dict())) != layer_wise(config):  # as it will be loaded
            raise ValueError("its configuration works out itself what each layer is")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            deeper, make = partly_weightless(config, text_model.dtype)
        _, _, blocks = block_list(deeper, total)
        missing, unexpected = deeper.load_state_dict(_renumbered(text_model, old), strict=False, assign=True)
    except (ValueError, RuntimeError, IndexError, StrictDataclassError) as error:  # settings, shapes by layer number
        raise _depends_on_places(text_model, first_line(error)) from error
    fresh = {id(value) for place in new for value in blocks[place].state_dict(keep_vars=True).values()}
    state = deeper.state_dict(keep_vars=True)
    if unexpected or not missing or not all(id(state[name]) in fresh for name in missing):
        raise _depends_on_places(text_model, f"{len(missing)} new names, {len(unexpected)} without a place")
    for place in new:
        make(blocks[place])
    del make  # it remembers how every weight is made
    deeper = deeper.to(text_model.device).train(text_model.training)
    inserted = [place for place in new if place < old[-1]]
    try:
        for place in inserted:
            blocks[place].load_state_dict(blocks[old[kinds[place]]].state_dict())
    except RuntimeError as error:  # what a block holds follows from its number, which no setting shows
        raise _depends_on_places(text_model, first_line(error)) from error
    silence(deeper, [blocks[place] for place in inserted])
    if not _same_without(text_model, deeper, [blocks[place] for place in new[len(inserted) :]]):
        raise _depends_on_places(text_model, "its old blocks compute something else at their new places")
    return deeper


def _depends_on_places(text_model: PreTrainedModel, found: str) -> InputError:
    return InputError(
        "new layers can be put where a text model's blocks do the same at every place",
        f"{type(text_model).__name__}: {found}",
        "leave new_layers out, append them behind the last layer, or use another text model",
    )


def _renumbered(text_model: PreTrainedModel, old: Sequence[int]) -> dict[str, Tensor]:
    """The state of a text model with block i under the number ``old[i]``; lists beside the blocks go with them."""
    num_layers, renumbered = text_model.config.num_hidden_layers, {}
    _, parent, _ = block_list(text_model, num_layers)
    prefix = next(name for name, module in text_model.named_modules() if module is parent)
    lists = [
        name for name, child in parent.named_children() if isinstance(child, nn.ModuleList) and len(child) == num_layers
    ]
    pattern = re.compile(rf"({re.escape(prefix)}\.(?:{'|'.join(map(re.escape, lists))})\.)(\d+)(\..*)")
    for name, value in text_model.state_dict(keep_vars=True).items():
        match = pattern.fullmatch(name)
        renumbered[f"{match[1]}{old[int(match[2])]}{match[3]}" if match else name] = value
    return renumbered


@torch.no_grad()
def _same_without(text_model: PreTrainedModel, deeper: PreTrainedModel, blocks: Sequence[nn.Module]) -> bool:
    """Whether the deeper model computes the same as the other one where its new blocks are passed over."""
    table = text_model.get_input_embeddings().weight
    states = torch.randn(1, _TRIED, table.shape[1], generator=torch.Generator().manual_seed(0)).to(table)
    was_training = text_model.training

    def pass_over(block: nn.Module, args: tuple, kwargs: dict, output: Any) -> Any:
        given = args[0] if args else kwargs["hidden_states"]
        return (given, *output[1:]) if isinstance(output, tuple) else given

    hooks = [block.register_forward_hook(pass_over, with_kwargs=True) for block in blocks]
    try:
        found, expected = (
            model.eval().base_model(inputs_embeds=states.clone(), use_cache=False).last_hidden_state.float()
            for model in (deeper, text_model)
        )
    finally:
        for hook in hooks:
            hook.remove()
        for model in (deeper, text_model):
            model.train(was_training)
    return bool((found - expected).abs().max() <= torch.finfo(table.dtype).eps ** 0.5 * expected.abs().max())
