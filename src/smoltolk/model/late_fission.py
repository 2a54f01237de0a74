"""Late fission: what the layer mix selected is decomposed towards units (arXiv 2503.06211, section 3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel

from smoltolk.common.errors import InputError, first_line
from smoltolk.model.adapters import SpeechAdapter
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.text_models.layers import all_attend, block_list

_TRIED = 4  # positions on which copied layers are compared with those they came from


class LateFission(nn.Module):
    """The residual of the raw embedding and the output adapter, over all positions of a document, text included.

    Args:
        config: the model's.
    """

    def __init__(self, config: SmolTolkConfig):
        super().__init__()
        D, E, num_layers = config.hidden_size, config.output_width, config.num_output_layers
        self.projection = nn.Identity() if E == D else nn.Linear(D, E, bias=False)
        if num_layers:
            top = range(config.num_layers - num_layers, config.num_layers) if config.copies_top_layers else None
            self.adapter = SpeechAdapter(config.text_config, num_layers, config.output_adapter_size, top)
        self.residual, self.num_layers = config.speech_residual, num_layers

    def forward(
        self,
        mixed: Tensor,
        raw: Tensor | None,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        cache: Cache | None,
    ) -> Tensor:
        """States that the speech head reads.

        Args:
            mixed: [B, T, D], of the layer mix.
            raw: [B, T, D], the embedding of each position before the input adapter; None: no residual.
            attention_mask, position_ids: as the backbone has them.
            cache: the adapter's own view.

        Returns:
            [B, T, E], E of the output adapter.
        """
        states = self.projection(mixed if raw is None else mixed + raw.to(mixed))
        return self.adapter(states, attention_mask, position_ids, cache)[-1] if self.num_layers else states


@torch.no_grad()
def copy_top_layers(text_model: PreTrainedModel, adapter: SpeechAdapter) -> None:
    """Let an adapter start as the last layers of a text model, as many as it has.

    From the layer below them on, speech then has a top of its own.

    Args:
        text_model: left as it is.
        adapter: made like these layers; changed, its parameters' type too.

    Raises:
        InputError: from the same states the copy computes something else.
    """
    num_layers, num_top = text_model.config.num_hidden_layers, len(adapter.blocks)
    if not all_attend(text_model.config, range(num_layers - num_top, num_layers)):
        raise _no_copy(text_model, "some of its top layers do not attend, but keep a state")
    _, _, blocks = block_list(text_model, num_layers)
    top = blocks[-num_top:]
    dtype = next(text_model.parameters()).dtype
    for parameter in adapter.parameters():
        parameter.data = parameter.data.to(dtype)  # what is computed alike can be compared
        parameter.zero_()  # tables of positions too: those the text model added are in what the adapter reads
    modes = [(model, model.training) for model in (text_model, adapter)]
    try:
        for own, copied in zip(adapter.blocks, top, strict=True):
            own.load_state_dict(copied.state_dict())
        for model, _ in modes:
            model.eval()
        read, written = _read_and_written(text_model, top)
        same = torch.allclose(adapter(read)[-1], written, rtol=0, atol=1e-4 * float(written.abs().max()))
    except RuntimeError as error:  # blocks of other shapes
        raise _no_copy(text_model, first_line(error)) from error
    finally:
        for model, was_training in modes:
            model.train(was_training)
    if not same:
        raise _no_copy(text_model, "from the same states the copy computes something else")


def _read_and_written(text_model: PreTrainedModel, blocks: nn.ModuleList) -> tuple[Tensor, Tensor]:
    """What the first of a text model's last blocks reads and the last one gives, [1, T, D] each, of a few ids."""
    caught: list[Tensor] = []

    def before(block: nn.Module, args: tuple, kwargs: dict) -> None:
        caught.append(args[0] if args else kwargs["hidden_states"])

    def behind(block: nn.Module, args: tuple, output: Any) -> None:
        caught.append(output[0] if isinstance(output, tuple) else output)

    hooks = [
        blocks[0].register_forward_pre_hook(before, with_kwargs=True),
        blocks[-1].register_forward_hook(behind),
    ]
    table = text_model.get_input_embeddings().weight
    try:
        text_model.base_model(torch.arange(min(_TRIED, len(table)), device=table.device)[None], use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    read, written = caught
    return read, written


def _no_copy(text_model: PreTrainedModel, found: str) -> InputError:
    return InputError(
        "an output adapter can copy the top layers of text models whose layers need nothing but states and positions",
        f"{type(text_model).__name__}: {found}",
        "set copies_top_layers=False, or use another text model",
    )
