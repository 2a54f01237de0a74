"""Probes find what is there, nothing where there is nothing, and never see those they are asked about."""

from __future__ import annotations

import numpy as np
import pytest

from smoltolk.analysis.probes import Probe, phone_labels, word_content
from smoltolk.common.seeds import generator


def probe_of(labels: list, speakers: list[str], utterances: list[int], seed: int = 0) -> Probe:
    """Every utterance says something else."""
    return Probe(labels, speakers, utterances, [f"text {u}" for u in utterances], seed=seed)


def labelled(count: int, classes: int, speakers: int) -> tuple[list[str], list[str], list[int]]:
    rng = np.random.default_rng(0)
    labels = [f"class {k}" for k in rng.integers(0, classes, count)]
    utterances = rng.integers(0, 10 * speakers, count).tolist()
    return labels, [f"voice {u % speakers}" for u in utterances], utterances


def test_what_is_there_is_found_and_guesses_are_chance() -> None:
    labels, speakers, utterances = labelled(800, 4, 8)
    rng = np.random.default_rng(1)
    marks = np.eye(4)[[int(label[-1]) for label in labels]]
    noise = rng.standard_normal((800, 10))
    states = np.stack([noise, np.concatenate([marks, noise], axis=1)[:, :10]])
    probe = probe_of(labels, speakers, utterances)
    nothing, everything = probe.accuracies(states)
    assert everything["value"] == 1
    about = probe.about()
    assert nothing["low"] < about["chance"] < nothing["high"] or abs(nothing["value"] - about["chance"]) < 0.08
    assert about["classes"] == 4 and about["held_out"] == "speakers" and about["fitted"] + about["n"] == 800
    assert 0.2 < about["chance"] < 0.3


def test_what_only_speakers_tell_is_not_learned() -> None:
    """A mark of the speaker goes with the class among those that are fitted on: it must not help with others."""
    labels, speakers, utterances = labelled(600, 2, 8)
    labels = [f"class {int(voice[-1]) % 2}" for voice in speakers]
    states = np.eye(8)[[int(voice[-1]) for voice in speakers]][None]
    (cell,) = probe_of(labels, speakers, utterances).accuracies(states)
    assert cell["value"] < 0.8


@pytest.mark.parametrize("share", [0.2, 1.0])  # of utterances that all speakers read: as in TIMIT, as in VCTK
def test_a_text_that_many_read_stays_on_one_side(share: float) -> None:
    """States that tell the sentence and nothing of the class: who knows the sentence knows its words."""
    utterances = np.arange(800).tolist()
    speakers = [f"voice {u % 8}" for u in utterances]
    texts = [u // 8 if u // 8 < 100 * share else 1000 + u for u in utterances]
    labels = [f"class {generator(0, 'class', text).integers(2)}" for text in texts]
    directions = {text: generator(0, "state", text).standard_normal(300) for text in texts}
    states = np.stack([directions[text] for text in texts])[None]
    probe = Probe(labels, speakers, utterances, list(map(str, texts)), seed=0)
    (cell,) = probe.accuracies(states)
    about = probe.about()
    assert cell["low"] < about["chance"] + 0.05 and cell["value"] < 0.7
    assert about["n"] > 60 and about["fitted"] > 250


def test_few_speakers_hold_out_utterances() -> None:
    labels, speakers, utterances = labelled(200, 2, 2)
    assert probe_of(labels, speakers, utterances).about()["held_out"] == "utterances"


def test_transfer_reads_one_modality_with_what_the_other_taught() -> None:
    labels, speakers, utterances = labelled(600, 3, 8)
    rng = np.random.default_rng(2)
    marks = 3 * np.eye(6)[[int(label[-1]) for label in labels]]
    text = marks + 0.3 * rng.standard_normal((600, 6))
    speech = marks + 0.3 * rng.standard_normal((600, 6)) + 20  # the same directions, far away
    elsewhere = np.roll(speech, 3, axis=1)  # other directions
    probe = probe_of(labels, speakers, utterances)
    assert probe.accuracies(text[None], speech[None])[0]["value"] > 0.95
    assert probe.accuracies(text[None], elsewhere[None])[0]["value"] < 0.7
    assert probe.accuracies(elsewhere[None])[0]["value"] > 0.95


def test_rare_labels_are_left_out() -> None:
    labels = ["a"] * 30 + ["b"] * 30 + ["c"] * 7 + [None] * 5
    probe = probe_of(labels, ["x"] * 72, list(range(72)))
    assert probe.items.tolist() == list(range(60))
    assert not probe_of(["a"] * 30 + ["b"] * 7, ["x"] * 37, list(range(37))).enough
    assert not probe_of([], [], []).enough


def test_word_content_names_the_one_target_of_a_sentence() -> None:
    sentences = [("the", name, verb) for name in ("ann", "bob", "cid") for verb in ("runs", "sits") for _ in range(10)]
    sentences += [("ann", "and", "bob")] * 3
    labels = word_content(sentences)
    targets = {label for label in labels if label}
    assert len(targets) >= 2 and "the" not in targets
    for words, label in zip(sentences, labels, strict=True):
        held = set(words) & targets
        assert label == (held.pop() if len(held) == 1 else None)


def test_phones_in_the_middle_of_units() -> None:
    starts, ends = np.array([0.0, 0.1, 0.3]), np.array([0.1, 0.3, 0.4])
    phones = [("AA", 0.04, 0.19), ("B", 0.21, 0.34)]
    labels = phone_labels([(0, (1, 2)), (0, (2, 3)), (0, (3, 4))], lambda _: (starts, ends), lambda _: phones)
    assert labels == ["AA", None, None]
    assert phone_labels([(5, (2, 3))], lambda _: (starts, ends + 0.1), lambda _: phones) == ["B"]


@pytest.mark.parametrize("seed", [0, 2**40])
def test_any_seed(seed: int) -> None:
    labels, speakers, utterances = labelled(100, 2, 5)
    assert probe_of(labels, speakers, utterances, seed).enough
