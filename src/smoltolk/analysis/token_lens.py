"""The logit lens on words: is the spoken word's text token among the head's top candidates, and in which layer?

At the last unit of a word the head of each layer is asked for two tokens: the one that the word itself begins with, and
the one that the next word begins with. Beside it stands what reading gives: the next word's token at the last token of
the same word. arXiv 2606.22473 looks at spoken models so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from smoltolk.analysis.layer_logits import layer_logits
from smoltolk.analysis.material import Material
from smoltolk.analysis.resampling import cells, mean_intervals
from smoltolk.analysis.states import BATCH_TOKENS, Place
from smoltolk.common.progress import Bar
from smoltolk.data.rows.documents import Document

TOP = (1, 5, 10)
SERIES = ("heard", "heard_next", "read_next")


def token_ranks(
    model: Any,
    documents: Sequence[Document],
    places: Sequence[Place],
    tokens: np.ndarray,
    *,
    batch_tokens: int = BATCH_TOKENS,
    bar: Bar | None = None,
) -> np.ndarray:
    """The rank of some tokens among all text ids, from 1, at the last position of each place; among equals the last.

    Args:
        model, documents, places, batch_tokens, bar: as for :func:`~smoltolk.analysis.layer_logits.layer_logits`.
        tokens: int [N, m], of each place.

    Returns:
        int64 [L + 1, N, m].
    """
    found: dict[int, np.ndarray] = {}
    for numbers, layer, logits in layer_logits(model, documents, places, batch_tokens=batch_tokens, bar=bar):
        ranks = found.setdefault(layer, np.zeros(tokens.shape, np.int64))
        for column in range(tokens.shape[1]):
            own = logits[range(len(numbers)), tokens[numbers, column]]
            ranks[numbers, column] = (logits >= own[:, None]).sum(1).cpu().numpy()
    return np.stack([found[layer] for layer in sorted(found)])


def token_lens(
    model: Any, material: Material, *, seed: int, batch_tokens: int = BATCH_TOKENS, bar: Bar | None = None
) -> dict[str, Any]:
    """Share of words whose token is among the top 1, 5 and 10 of the text head, layer by layer.

    Args:
        model: whose head is put on each layer.
        material: the words.
        seed: of the bootstrap over utterances.
        batch_tokens, bar: as above; the bar is advanced by spoken and by written documents.

    Returns:
        ``{series: {"top": {k: [cell]}, "median_rank": [float], "frequent": {k: float}, "n": int}}`` with a value for
        each layer: ``heard``, the word itself at its last unit, ``heard_next``, the next word there, ``read_next``, the
        next word at the last token of the written word; the last two only where words of two utterances have a next
        one. ``frequent``: the share that always naming the k most frequent tokens of these words would give.
    """
    words = material.words
    groups = np.array([word.document for word in words])
    tokens = np.array([[word.first_token, word.next_token] for word in words])
    follows = tokens[:, 1] >= 0
    asked = np.maximum(tokens, 0)  # where no word follows any token may be asked for
    heard = token_ranks(
        model, material.spoken, [(w.document, w.units) for w in words], asked, batch_tokens=batch_tokens, bar=bar
    )
    read = token_ranks(
        model, material.written, [(w.document, w.tokens) for w in words], asked[:, 1:], batch_tokens=batch_tokens,
        bar=bar,
    )  # fmt: skip
    everyone = np.ones(len(words), bool)
    series = {
        "heard": (heard[..., 0], tokens[:, 0], everyone),
        "heard_next": (heard[..., 1], tokens[:, 1], follows),
        "read_next": (read[..., 0], tokens[:, 1], follows),
    }
    has = {name: name == "heard" or len(np.unique(groups[which])) > 1 for name, (*_, which) in series.items()}
    return {name: _shares(*parts, groups, seed) for name, parts in series.items() if has[name]}


def _shares(ranks: np.ndarray, tokens: np.ndarray, which: np.ndarray, groups: np.ndarray, seed: int) -> dict[str, Any]:
    ranks, tokens, groups = ranks[:, which].T, tokens[which], groups[which]
    common = [count for _, count in Counter(tokens.tolist()).most_common(max(TOP))]
    return {
        "top": {str(k): cells(*mean_intervals((ranks <= k).astype(float), groups, seed=seed)) for k in TOP},
        "median_rank": np.median(ranks, axis=0).tolist(),
        "frequent": {str(k): sum(common[:k]) / len(tokens) for k in TOP},
        "n": len(tokens),
    }
