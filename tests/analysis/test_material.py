"""Words and sentences, with the positions that their units and tokens have in documents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from smoltolk.analysis.material import Material, plain
from smoltolk.common.errors import InputError
from smoltolk.data.shards.parquet import read_shards
from smoltolk.data.shards.unit_corpus import UnitCorpus
from smoltolk.model.ids import IdSpace


def test_a_words_positions_hold_its_units_and_its_tokens(
    material: Material, tokenizer: PreTrainedTokenizerFast, space: IdSpace
) -> None:
    assert len(material.words) == 120
    spoken, written = material.spoken, material.written
    for word in material.words:
        tokens = written[word.document].input_ids[slice(*word.tokens)]
        assert plain(tokenizer.decode(tokens)) == word.text
        assert word.first_token == tokens[0]
        following = written[word.document].input_ids[word.tokens[1] : word.tokens[1] + 1]
        assert word.next_token == (following[0] if len(following) else -1)
        utterance = material.utterances[word.document]
        starts, ends = material.unit_times(utterance)
        texts, _, stops = material.units.words(utterance)
        first, last = word.units[0] - 1, word.units[1] - 2
        # Each of its units lies in it, or in the pause before it, or, rounded, behind the last word.
        place = next(k for k in range(len(texts)) if abs(stops[k] - ends[last]) < 0.021 or k == len(texts) - 1)
        assert plain(texts[place]) == word.text
        assert starts[first] >= (stops[place - 1] if place else 0) - 0.021
        ids = spoken[word.document].input_ids[slice(*word.units)]
        assert (ids - space.speech_offset == material.units.units(utterance)[first : last + 1]).all()


def test_the_seed_decides(units: UnitCorpus, tokenizer: PreTrainedTokenizerFast, space: IdSpace) -> None:
    def words(seed: int) -> list:
        return Material(units, tokenizer, space, num_items=50, seed=seed).words

    assert words(1) == words(1)
    assert words(1) != words(2)


def test_few_items_read_few_utterances(units: UnitCorpus, tokenizer: PreTrainedTokenizerFast, space: IdSpace) -> None:
    few = Material(units, tokenizer, space, num_items=10, seed=0)
    assert len(few.utterances) < 6 and len(few.units) < 40 < len(units)


def test_sentences_are_all_different_and_stand_alone(material: Material, tokenizer: PreTrainedTokenizerFast) -> None:
    sentences = material.sentences
    assert len({sentence.words for sentence in sentences}) == len(sentences) == 120
    for sentence in sentences[:20]:
        text = tokenizer.decode(sentence.written.input_ids[1:])
        assert tuple(map(plain, text.split())) == sentence.words
        assert not text.startswith(" ") and text.endswith(".")
        assert (sentence.spoken.input_ids[1:] >= material.space.speech_offset).all()


def test_what_is_too_long_or_has_no_words_is_left_out(
    units: UnitCorpus, tokenizer: PreTrainedTokenizerFast, space: IdSpace
) -> None:
    lengths = units.num_units_each
    longest = int(np.median(lengths))
    short = Material(units, tokenizer, space, num_items=1000, seed=0, longest=longest)
    assert len(short.units) == (lengths < longest).sum() and short.utterances
    assert all(len(short.units.units(utterance)) < longest for utterance in short.utterances)


def test_too_few_words(
    speak: Callable, write_shards: Callable, tokenizer: PreTrainedTokenizerFast, space: IdSpace, tmp_path: Path
) -> None:
    few = read_shards(write_shards(tmp_path / "few" / "a.parquet", [speak("a", "Only four words here.", "x")]))
    with pytest.raises(InputError, match="4 words in 1 utterances"):
        Material(few, tokenizer, space, num_items=100, seed=0)


def test_plain() -> None:
    assert [plain(word) for word in ("Sanders.", '"Don\'t!"', "--", "Ärger,")] == ["sanders", "don't", "", "ärger"]
