"""Which layers speech is read from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from smoltolk.analysis.material import Material
from smoltolk.analysis.resampling import cells, mean_intervals
from smoltolk.analysis.states import BATCH_TOKENS, read_documents
from smoltolk.common.errors import InputError
from smoltolk.common.progress import Bar
from smoltolk.data.rows.documents import Document
from smoltolk.inference.batches import evaluating
from smoltolk.model.configuration import SmolTolkConfig


def layer_names(config: SmolTolkConfig) -> list[str]:
    """Names of the layers that a model mixes, in their order: ``1`` .. ``L`` of the backbone, ``in 1`` .. before them.

    The input adapter's layers are among them where ``layer_mix_pool`` is ``all``.
    """
    num_inputs = config.num_mixed_layers - config.num_layers
    names = [f"in {number + 1}" for number in range(num_inputs)]
    return names + [str(number + 1) for number in range(config.num_layers)]


@torch.no_grad()
def selector_profile(model: Any, documents: Sequence[np.ndarray | Document]) -> dict[str, list]:
    """Mean weight of each layer over the speech positions of some documents.

    Args:
        model: a :class:`~smoltolk.model.modeling.SmolTolkForCausalLM`. One that mixes nothing reads one layer.
        documents: ids [n] each, or documents, which hold frames of several codebooks too.

    Returns:
        ``layers``, the :func:`layer_names`, and ``weights``, which sum to 1.

    Raises:
        InputError: no speech in the documents.
    """
    config, device = model.config, next(model.parameters()).device
    names = layer_names(config)
    total, count = torch.zeros(len(names), dtype=torch.float64), 0
    with evaluating(model):
        for document in documents:
            written = document.input_ids if isinstance(document, Document) else np.asarray(document)
            ids, beside = torch.from_numpy(written)[None].to(device), {}
            if isinstance(document, Document) and config.num_codebooks > 1:
                beside["codes"] = torch.from_numpy(document.codes)[None].to(device)
            found = model(input_ids=ids, output_selector_weights=True, logits_to_keep=1, **beside).selector_weights
            weights = _alone(model.layer_mix.alone, len(names)) if found is None else found.double().cpu()
            speech = ids[0].cpu() >= config.speech_offset
            total += weights.expand(*ids.shape, -1)[0][speech].sum(0)
            count += int(speech.sum())
    if count == 0:
        raise InputError(
            "a selector is looked at where speech is read", "no speech in these documents", "give spoken ones"
        )
    return {"layers": names, "weights": (total / count).tolist()}


PLACES = ("pause", "0-20%", "20-40%", "40-60%", "60-80%", "80-100%")


def unit_weights(
    model: Any, documents: Sequence[Document], *, batch_tokens: int = BATCH_TOKENS, bar: Bar | None = None
) -> list[np.ndarray]:
    """The selector's weights at every unit of spoken documents: float64 [units, M] of each, in the documents' order.

    Args:
        model: with a dynamic layer mix.
        documents: of units alone.
        batch_tokens, bar: as for :func:`~smoltolk.analysis.states.read_documents`.

    Raises:
        InputError: the model's mix does not depend on the position.
    """
    check_selects(model.config)
    found: dict[int, np.ndarray] = {}
    for members, output in read_documents(
        model, documents, batch_tokens=batch_tokens, bar=bar, output_selector_weights=True
    ):
        weights = output.selector_weights.double().cpu().numpy()
        for row, document in enumerate(members):  # behind the first id, the end-of-sequence of speech
            found[document] = weights[row, 1 : len(documents[document])]
    return [found[k] for k in range(len(documents))]


def check_selects(config: SmolTolkConfig) -> None:
    """Raise InputError unless a model selects layers anew at every position."""
    if config.layer_mix != "dynamic":
        raise InputError(
            "weights differ from unit to unit where a model has a selector (layer_mix = dynamic)",
            f"layer_mix = {config.layer_mix}" + (", as in early fusion" if config.num_input_layers == 0 else ""),
            "leave this figure out, or name a late-fusion model",
        )


def places_of_units(material: Material, document: int) -> np.ndarray:
    """int64 [n]: where each unit of a document lies in its word, a number of :data:`PLACES`, by its middle."""
    utterance = material.utterances[document]
    starts, ends = material.unit_times(utterance)
    middles = (starts + ends) / 2
    _, begin, end = material.units.words(utterance)
    begin, end = begin.astype(np.float64), end.astype(np.float64)
    word = np.searchsorted(begin, middles, side="right") - 1
    inside = (word >= 0) & (middles < end[word])
    share = (middles - begin[word]) / np.maximum(end[word] - begin[word], 1e-9)
    parts = len(PLACES) - 1
    return np.where(inside, 1 + np.clip((parts * share).astype(np.int64), 0, parts - 1), 0)


def selector_places(
    config: SmolTolkConfig, weights: Sequence[np.ndarray], material: Material, *, seed: int
) -> dict[str, Any]:
    """Mean weight of each layer and mean entropy, over all units and by place in the word.

    Args:
        config: of the model.
        weights: of :func:`unit_weights`, of the material's spoken documents.
        material: whose words have times.
        seed: of the bootstrap over utterances.

    Returns:
        ``layers``; ``weights``, a cell for each; ``entropy``, a cell, in nats; ``places``: for each of :data:`PLACES`
        that has units the same, with ``n``; ``uniform_entropy``, log M; ``n``, units.
    """
    documents = np.concatenate([np.full(len(each), k) for k, each in enumerate(weights)])
    places = np.concatenate([places_of_units(material, k) for k in range(len(weights))])
    rows = np.concatenate(weights)
    entropy = -(rows * np.log(np.maximum(rows, 1e-30))).sum(1, keepdims=True)
    columns = np.concatenate([rows, entropy], axis=1)

    def figures(which: np.ndarray) -> dict[str, Any]:
        *each, last = cells(*mean_intervals(columns[which], documents[which], seed=seed))
        return {"weights": each, "entropy": last, "n": int(which.sum())}

    spread = {
        name: figures(places == number)
        for number, name in enumerate(PLACES)
        if len(np.unique(documents[places == number])) > 1
    }
    return {
        "layers": layer_names(config),
        **figures(np.ones(len(rows), bool)),
        "places": spread,
        "uniform_entropy": float(np.log(rows.shape[1])),
    }


def _alone(layer: int, num_layers: int) -> torch.Tensor:
    """Weights [num_layers] of a mix that is one layer, counted from 1."""
    return torch.nn.functional.one_hot(torch.tensor(layer - 1), num_layers).double()
