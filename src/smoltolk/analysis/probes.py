"""What a linear classifier reads from the states of each layer: phones, words, what a sentence is about.

Each probe is a logistic regression on standardised states, fitted on some speakers and asked about others (about other
utterances, where there are too few speakers). What many speakers read out, e.g. the two sentences that all of TIMIT's
say, stays on one side: a model that knows the sentence knows its words. Guessing is the commonest class of those it was
fitted on.

- **phone**: at a unit, the phone that is said there (from a corpus with phones);
- **word**: at the mean state of a word, which of the frequent words it is; of speech, of text, and fitted on text and
  asked about speech (``transfer``), for which the mean of each modality is taken away;
- **sentence**: at the mean state of a sentence, which of some words occurs in it: "word content" of Conneau et al.,
  "What you can cram into a single vector", 2018.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from smoltolk.analysis.material import groups_of
from smoltolk.analysis.resampling import Cell, cells, mean_intervals
from smoltolk.common.seeds import generator

_HELD_OUT = 0.25
_FEWEST_SPEAKERS = 4
_PER_CLASS, _MOST_CLASSES = 8, 50


class Probe:
    """Items with a label each, and which of them are held out.

    Args:
        labels: the class of each item; those of classes with fewer than 8 items are left out, and those of classes
            behind the 50 most frequent.
        speakers, utterances, texts: of each item; a text is what its whole utterance says.
        seed: of the split.

    Attributes:
        items: int64 [n], numbers of those that are left.
        enough: whether two classes are left on both sides.
    """

    def __init__(
        self, labels: Sequence[str | None], speakers: Sequence[str], utterances: Sequence[int], texts: Sequence[str],
        *, seed: int,
    ):  # fmt: skip
        counts = Counter(label for label in labels if label is not None)
        kept = [label for label, count in counts.most_common(_MOST_CLASSES) if count >= _PER_CLASS]
        self.items = np.array([k for k, label in enumerate(labels) if label in kept], np.int64)
        self._labels = np.array([labels[k] for k in self.items], object).astype(str)
        self._utterances = np.array([utterances[k] for k in self.items])
        voices = groups_of([speakers[k] for k in self.items]) if len(self.items) else self.items
        self.held_out = "speakers" if len(np.unique(voices)) >= _FEWEST_SPEAKERS else "utterances"
        groups = voices if self.held_out == "speakers" else self._utterances
        self.enough = len(np.unique(groups)) > 1
        if self.enough:
            split = GroupShuffleSplit(1, test_size=_HELD_OUT, random_state=seed % 2**32)
            fit, ask = next(split.split(self.items, groups=groups))
            self._fit, self._ask = _apart(fit, ask, groups_of([texts[k] for k in self.items]), seed)
            # What was never seen when fitting is nobody's to know.
            self._ask = self._ask[np.isin(self._labels[self._ask], self._labels[self._fit])]
            fitted, asked = np.unique(self._labels[self._fit]), np.unique(self._utterances[self._ask])
            self.enough = len(fitted) > 1 and len(asked) > 1
        self._seed = seed

    def accuracies(
        self,
        fitted: np.ndarray,
        asked: np.ndarray | None = None,
        *,
        advance: Callable[[], None] = lambda: None,
    ) -> list[Cell]:
        """Accuracy on what is held out, a cell for each layer.

        Args:
            fitted: float [L + 1, N, D], states of all items.
            asked: those that it is asked about; the same if None.
            advance: called after each layer.
        """
        right = np.zeros((len(self._ask), len(fitted)))
        for layer, states in enumerate(fitted):
            others = states if asked is None else asked[layer]
            known, unknown = states[self.items][self._fit], others[self.items][self._ask]
            if asked is not None:
                known, unknown = known - known.mean(0), unknown - others[self.items][self._fit].mean(0)
            classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
            classifier.fit(known.astype(np.float64), self._labels[self._fit])
            right[:, layer] = classifier.predict(unknown.astype(np.float64)) == self._labels[self._ask]
            advance()
        return cells(*mean_intervals(right, self._utterances[self._ask], seed=self._seed))

    def about(self) -> dict[str, Any]:
        """How many items and classes there are, what is held out, and what guessing gives."""
        commonest = Counter(self._labels[self._fit].tolist()).most_common(1)[0][0]
        return {
            "classes": len(np.unique(self._labels[self._fit])),
            "fitted": len(self._fit),
            "n": len(self._ask),
            "held_out": self.held_out,
            "chance": float(np.mean(self._labels[self._ask] == commonest)),
        }


def _apart(fit: np.ndarray, ask: np.ndarray, texts: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The same items without the texts that both sides have, each of which stays on one side, by chance."""
    both = np.intersect1d(texts[fit], texts[ask])
    is_asked = generator(seed, "probe texts", len(both)).random(len(both)) < 0.5
    return fit[~np.isin(texts[fit], both[is_asked])], ask[~np.isin(texts[ask], both[~is_asked])]


def word_content(sentences: Sequence[Sequence[str]]) -> list[str | None]:
    """For each sentence the one target word that occurs in it; None where none or several do.

    Targets are taken in the order of how many sentences they occur in, those in more than a tenth last and those in
    more than half not at all, as long as more sentences get a label by them than lose theirs.
    """
    sets = [set(words) for words in sentences]
    counts = Counter(word for words in sets for word in words)
    order = sorted(counts, key=lambda word: (counts[word] > len(sets) / 10, -counts[word], word))
    targets: set[str] = set()
    number = np.zeros(len(sets), np.int64)
    for word in order:
        if not _PER_CLASS <= counts[word] <= len(sets) / 2 or len(targets) == _MOST_CLASSES:
            continue
        here = np.array([word in words for words in sets])
        if (here & (number == 0)).sum() > (here & (number == 1)).sum() + _PER_CLASS:
            targets.add(word)
            number += here
    return [next(iter(words & targets)) if count == 1 else None for words, count in zip(sets, number, strict=True)]


def phone_labels(
    units: Sequence[tuple[int, tuple[int, int]]],
    times: Callable[[int], tuple[np.ndarray, np.ndarray]],
    phones: Callable[[int], Sequence[tuple[str, float, float]]],
) -> list[str | None]:
    """The phone that is said in the middle of each unit; None where none is.

    Args:
        units: document and position of each, counted from 1.
        times: starts and ends of the units of a document, seconds.
        phones: name, start and end of each phone of a document, in order.
    """
    labels: list[str | None] = []
    for document, (position, _) in units:
        starts, ends = times(document)
        middle = (starts[position - 1] + ends[position - 1]) / 2
        labels.append(next((name for name, start, end in phones(document) if start <= middle < end), None))
    return labels
