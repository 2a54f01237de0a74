"""One model, and each part of what is looked at inside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from smoltolk.analysis.boundaries import has_boundaries, word_boundaries
from smoltolk.analysis.geometry import geometry
from smoltolk.analysis.material import FEWEST, Material, groups_of
from smoltolk.analysis.probes import Probe, phone_labels, word_content
from smoltolk.analysis.retrieval import retrieval
from smoltolk.analysis.selector import check_selects, selector_places, unit_weights
from smoltolk.analysis.similarity import alignment
from smoltolk.analysis.states import BATCH_TOKENS, Place, mean_states
from smoltolk.analysis.token_lens import token_lens
from smoltolk.common.progress import bar
from smoltolk.common.seeds import generator
from smoltolk.data.shards.unit_corpus import UnitCorpus

Phones = Mapping[str, Sequence[tuple[str, float, float]]]  # of an utterance, by its id
Figures = dict[str, Any]


class Inside:
    """One model and what it makes of the words and sentences of some shards; states are made when they are asked for.

    Args:
        name: shown at bars.
        model, tokenizer: of :func:`~smoltolk.inference.parts.load_model`.
        units: the shards.
        num_items: most words, sentences and units looked at.
        seed: of every choice.
        batch_tokens: most ids of a batch.
        phones: when each phone is said; None: not known.
    """

    def __init__(
        self, name: str, model: Any, tokenizer: Any, units: UnitCorpus, *, num_items: int, seed: int,
        batch_tokens: int = BATCH_TOKENS, phones: Phones | None = None,
    ):  # fmt: skip
        self.name, self.model, self._seed, self._batch_tokens, self._phones = name, model, seed, batch_tokens, phones
        longest = getattr(model.config.text_config, "max_position_embeddings", None) or 2048
        self.material = Material(
            units, tokenizer, model.config.id_space, num_items=num_items, seed=seed, longest=min(longest, batch_tokens)
        )
        self._num_items, self._num_layers = num_items, model.config.num_layers + 1

    def alignment(self) -> Figures:
        """CKA and mutual nearest neighbours of words and of sentences."""
        return self._of_both(alignment, "alignment")

    def geometry(self) -> Figures:
        """Intrinsic dimension and subspaces of words and of sentences."""
        return self._of_both(geometry, "geometry")

    def lens(self) -> Figures:
        """The text head on each layer at words."""
        with self._bar("lens", 2 * len(self.material.utterances), "documents") as shown:
            return token_lens(
                self.model, self.material, seed=self._seed, batch_tokens=self._batch_tokens, bar=shown
            )  # fmt: skip

    def probes(self) -> Figures:
        """Phones, words and what sentences are about; ``left_out``: reasons by probe, or one text if none is left."""
        material, asked, left_out = self.material, dict[str, tuple[Probe, dict[str, Any]]](), dict[str, str]()
        spoken, written = self.word_states
        owners = [material.utterances[word.document] for word in material.words]
        probe = self._probe([word.text for word in material.words], owners)
        asked["word"] = probe, {"speech": (spoken,), "text": (written,), "transfer": (written, spoken)}
        if self._too_few_sentences:
            left_out["sentence"] = self._too_few_sentences
        else:
            heard, read = self.sentence_states
            labels = word_content([sentence.words for sentence in material.sentences])
            probe = self._probe(labels, [sentence.utterance for sentence in material.sentences])
            asked["sentence"] = probe, {"speech": (heard,), "text": (read,), "transfer": (read, heard)}
        if self._phones is None:
            left_out["phone"] = "no corpus with phones was named"
        else:
            places, labels = self._phones_at_units(self._phones)
            probe = self._probe(labels, [material.utterances[document] for document, _ in places])
            asked["phone"] = probe, {"speech": (self._states("phones", material.spoken, places),)}
        for kind in [kind for kind, (probe, _) in asked.items() if not probe.enough]:
            del asked[kind]
            left_out[kind] = "too few items with the same label"
        if not asked:
            return {"left_out": "; ".join(f"{kind}: {reason}" for kind, reason in left_out.items())}
        found: Figures = {"left_out": left_out} if left_out else {}
        with self._bar("probes", self._num_layers * sum(len(ways) for _, ways in asked.values()), "fits") as shown:
            for kind, (probe, ways) in asked.items():
                found[kind] = {
                    **{way: probe.accuracies(*states, advance=shown.advance) for way, states in ways.items()},
                    **probe.about(),
                }
        return found

    def selector(self) -> Figures:
        """Weights and entropy of the selector."""
        return selector_places(self.model.config, self.unit_weights, self.material, seed=self._seed)

    def boundaries(self) -> Figures:
        """Word boundaries from the selector's weight on the last layer."""
        if not has_boundaries(self.material):
            return {"left_out": "too few of the utterances have two words"}
        return word_boundaries(self.unit_weights, self.material, seed=self._seed)

    def retrieval(self) -> Figures:
        """Sentences by sound and by text."""
        if self._too_few_sentences:
            return {"left_out": self._too_few_sentences}
        speakers = {self.material.speaker(sentence.utterance) for sentence in self.material.sentences}
        return {**retrieval(*self.sentence_states, seed=self._seed), "speakers": len(speakers)}

    @cached_property
    def word_states(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean states of the words, spoken and written, float32 [L + 1, N, D] each."""
        words = self.material.words
        return (
            self._states("spoken words", self.material.spoken, [(word.document, word.units) for word in words]),
            self._states("written words", self.material.written, [(word.document, word.tokens) for word in words]),
        )

    @cached_property
    def sentence_states(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean states of the sentences, each alone, without the first id."""
        sides = [[getattr(one, side) for one in self.material.sentences] for side in ("spoken", "written")]
        heard, read = (
            self._states(what, documents, [(k, (1, len(document))) for k, document in enumerate(documents)])
            for what, documents in zip(("spoken sentences", "written sentences"), sides, strict=True)
        )
        return heard, read

    @cached_property
    def unit_weights(self) -> list[np.ndarray]:
        """The selector's weights, float64 [units, M] of each utterance."""
        check_selects(self.model.config)
        with self._bar("selector", len(self.material.utterances), "documents") as shown:
            return unit_weights(self.model, self.material.spoken, batch_tokens=self._batch_tokens, bar=shown)

    def _of_both(self, measure: Callable[..., Figures], what: str) -> Figures:
        """A measure of words and of sentences; of too few sentences ``{"left_out": reason}``."""
        sides = {"words": (self.word_states, [word.document for word in self.material.words])}
        if not self._too_few_sentences:
            sides["sentences"] = (self.sentence_states, [one.utterance for one in self.material.sentences])
        with self._bar(what, len(sides) * self._num_layers, "layers") as shown:
            found = {
                name: measure(*states, groups_of(list(map(str, owners))), seed=self._seed, advance=shown.advance)
                for name, (states, owners) in sides.items()
            }
        return found if "sentences" in found else {**found, "sentences": {"left_out": self._too_few_sentences}}

    @property
    def _too_few_sentences(self) -> str:
        """Why sentences are not looked at; empty: they are."""
        found = len(self.material.sentences)
        return f"{found} different sentences in these shards, {FEWEST} are needed" if found < FEWEST else ""

    def _phones_at_units(self, phones: Phones) -> tuple[list[Place], list[str | None]]:
        material = self.material
        units = [(k, p) for k, u in enumerate(material.utterances) for p in range(1, len(material.units.units(u)) + 1)]
        order = generator(self._seed, "phones", len(units)).permutation(len(units))[: self._num_items]
        places = [(units[k][0], (units[k][1], units[k][1] + 1)) for k in np.sort(order)]
        ids = [material.units.id(utterance) for utterance in material.utterances]
        labels = phone_labels(
            places, lambda k: material.unit_times(material.utterances[k]), lambda k: phones.get(ids[k], ())
        )
        return places, labels

    def _probe(self, labels: Sequence[str | None], utterances: Sequence[int]) -> Probe:
        about = {u: (self.material.speaker(u), self.material.text(u)) for u in set(utterances)}
        speakers, texts = ([about[u][side] for u in utterances] for side in (0, 1))
        return Probe(labels, speakers, utterances, texts, seed=self._seed)

    def _states(self, what: str, documents: Sequence[Any], places: Sequence[Place]) -> np.ndarray:
        with self._bar(what, len(documents), "documents") as shown:
            return mean_states(self.model, documents, places, batch_tokens=self._batch_tokens, bar=shown)

    def _bar(self, what: str, total: int, unit: str) -> Any:
        return bar(f"{self.name}: {what}", total, unit)


MEASURES: dict[str, Callable[[Inside], Figures]] = {  # for each of smoltolk.analysis.request.PARTS
    "alignment": Inside.alignment,
    "geometry": Inside.geometry,
    "lens": Inside.lens,
    "probes": Inside.probes,
    "retrieval": Inside.retrieval,
    "selector": Inside.selector,
    "boundaries": Inside.boundaries,
}
