"""The two-choice lens: in which layer does the text model know the answer, though it only listens?

The text head reads the state of each layer at the last position before the answer, and the right answer's first token
competes with the wrong one's: while the model listens (``S->S``, behind the spoken prompt), and after it has read, when
it is about to speak (``T->S``, at ``<switch>``). Nothing is trained for this: it asks whether the backbone's own text
knowledge is there (the logit lens: nostalgebraist, "interpreting GPT", 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_jsonl, write_jsonl
from smoltolk.data.rows.documents import Document
from smoltolk.evaluation.cloze import Record, cell_of, difference_of, prompts
from smoltolk.evaluation.intervals import choice_outcomes
from smoltolk.evaluation.questions import SpokenCloze
from smoltolk.evaluation.rules import Rule
from smoltolk.inference.batches import batches, evaluating, pad_right
from smoltolk.model.codec.delays import SILENT
from smoltolk.model.text_models.text_head import TextHead
from smoltolk.report.results import LENS_WAYS


@torch.no_grad()
def answer_lens(
    model: Any,
    items: Sequence[SpokenCloze],
    *,
    directions: Sequence[str] = LENS_WAYS,
    batch_tokens: int = 4096,
    log_path: Path | str | None = None,
) -> list[Record]:
    """The margin of the right answer in every layer.

    Args:
        model: a :class:`~smoltolk.model.modeling.SmolTolkForCausalLM`.
        items: questions asked by the answer alone. Those whose answers begin with the same token are left out.
        directions: ``S->S`` and ``T->S``.
        batch_tokens: most ids, padding included, in one batch.
        log_path: JSON lines of the records.

    Returns:
        A record for each question, direction and layer (``"0"``, what the backbone reads, to ``"L"``), with ``margin``
        and ``points``; of a prompt that was recorded twice the mean.

    Raises:
        InputError: no question is left.
    """
    space, device = model.config.id_space, next(model.parameters()).device
    chosen = [item for item in items if item.right_tokens[0] != item.wrong_tokens[0]]
    if not chosen:
        raise InputError("a lens needs answers that begin with different tokens", f"{len(items)} questions", "ask more")
    places = [(way, item, document) for way in directions for item in chosen for document in prompts(item, way, space)]
    width, head = space.num_codebooks - 1, TextHead()
    margins: list[np.ndarray] = [np.zeros(0)] * len(places)
    with evaluating(model), _final_norm(model.backbone.base_model) as normed:
        for members in batches([len(document) for *_, document in places], batch_tokens):
            documents = [places[k][2] for k in members]
            ids = pad_right([document.input_ids for document in documents], space.eos_text, device)
            mask = pad_right([np.ones(len(document)) for document in documents], 0, device)
            beside = {"codes": pad_right([d.codes for d in documents], SILENT, device)} if width else {}
            found = model(input_ids=ids, attention_mask=mask, output_hidden_states=True, logits_to_keep=1, **beside)
            rows = torch.arange(len(members), device=device)
            last = torch.tensor([len(document) - 1 for document in documents], device=device)
            layers = [states[rows, last] for states in found.hidden_states]
            answers = torch.tensor([[places[k][1].right_tokens[0], places[k][1].wrong_tokens[0]] for k in members])
            each = [
                _margin(model.backbone, head, states, answers) for states in (*map(normed, layers[:-1]), layers[-1])
            ]
            for k, margin in zip(members, torch.stack(each, 1).double().cpu().numpy(), strict=True):
                margins[k] = margin
    records = _records(places, margins)
    if log_path is not None:
        write_jsonl(log_path, records)
    return records


def _margin(backbone: nn.Module, head: TextHead, states: Tensor, answers: Tensor) -> Tensor:
    logits = head(backbone, states).float()
    both = logits.gather(1, answers.to(logits.device))
    return both[:, 0] - both[:, 1]


def _records(places: Sequence[tuple[str, SpokenCloze, Document]], margins: Sequence[np.ndarray]) -> list[Record]:
    grouped: dict[tuple[str, str], tuple[SpokenCloze, list[np.ndarray]]] = {}
    for (way, item, _), margin in zip(places, margins, strict=True):
        grouped.setdefault((way, item.id), (item, []))[1].append(margin)
    records = []
    for (way, _), (item, found) in grouped.items():
        for layer, margin in enumerate(np.mean(found, axis=0)):
            names = {"id": item.id, "fact": item.fact, "rival": item.rival, "mirror": item.mirror}
            points = float(choice_outcomes(-margin, np.zeros(())))
            records.append({**names, "direction": way, "layer": str(layer), "points": points, "margin": float(margin)})
    return records


@contextmanager
def _final_norm(decoder: nn.Module) -> Iterator[Callable[[Tensor], Tensor]]:
    """What a decoder does to the states of its last layer before it hands them out, found by watching it.

    Architectures call it ``norm``, ``ln_f`` or ``final_layer_norm``, keep it at different places, and some have none:
    it is the module whose output the decoder's is. It is known once the decoder has run.
    """
    last: list[nn.Module] = []
    made: list[tuple[nn.Module, Tensor]] = []

    def watch(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            made.append((module, output))

    def decide(_: nn.Module, __: Any, output: Any) -> None:
        states = output.last_hidden_state
        # Some give their states another shape behind it.
        same = [module for module, tensor in made if tensor.data_ptr() == states.data_ptr()]
        last[:] = [module for module in same if "Norm" in type(module).__name__]
        made.clear()

    blocks = {part for group in decoder.modules() if isinstance(group, nn.ModuleList) for part in group.modules()}
    watched = [module for module in decoder.modules() if module is not decoder and module not in blocks]
    handles = [module.register_forward_hook(watch) for module in watched]
    handles.append(decoder.register_forward_hook(decide))
    try:
        yield lambda states: last[-1](states) if last else states
    finally:
        for handle in handles:
            handle.remove()


def lens_cells(records: Sequence[Record], *, seed: int) -> dict[str, dict[str, dict[str, Any]]]:
    """``{direction: {layer: {"accuracy", "low", "high", "n", "pair"}}}`` of the records."""
    cells: dict[str, dict[str, dict[str, Any]]] = {}
    for way, layer in dict.fromkeys((row["direction"], row["layer"]) for row in records):
        cells.setdefault(way, {})[layer] = cell_of(_of(records, way, layer), Rule(), seed)
    return cells


def lens_differences(first: Sequence[Record], second: Sequence[Record], *, seed: int) -> dict[str, dict[str, Any]]:
    """``first - second`` at the last layer of each, for every direction.

    Raises:
        InputError: the two were not asked the same questions.
    """
    ways = dict.fromkeys(row["direction"] for row in first)
    return {way: difference_of(_of(first, way), _of(second, way), Rule(), seed, f"the lens {way}") for way in ways}


def load_lens(path: Path | str) -> list[Record]:
    """The records that :func:`answer_lens` wrote."""
    return list(read_jsonl(path))


def _of(records: Sequence[Record], way: str, layer: str | None = None) -> list[Record]:
    """Those of one direction and layer; of the last one by default."""
    here = [row for row in records if row["direction"] == way]
    wanted = str(max((int(row["layer"]) for row in here), default=0)) if layer is None else layer
    return [row for row in here if row["layer"] == wanted]
