from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from smoltolk.common.errors import InputError
from smoltolk.data.rows.aligned import AlignedCorpus, Texts
from smoltolk.data.rows.interleave import stops, words_of_units
from smoltolk.data.shards.parquet import ShardMetadata, ShardWriter, UnitUtterance, read_shards
from smoltolk.speech.segments import Segment


def test_runs_of_text_join_to_what_the_tokenizer_gives_for_the_whole(stories, tokenizer):
    for utterance in range(20):
        num_words = stories.num_words(utterance)
        whole = tokenizer(stories.text(utterance), add_special_tokens=False)["input_ids"]
        for step in (1, 2, 7):
            runs = [stories.tokens(utterance, a, min(a + step, num_words)) for a in range(0, num_words, step)]
            assert np.concatenate(runs).tolist() == whole
            decoded = [tokenizer.decode(run).strip() for run in runs]
            words = stories.text(utterance).split()
            assert decoded == [" ".join(words[a : a + step]) for a in range(0, num_words, step)]


def test_runs_of_units_join_to_the_whole(stories):
    for utterance in range(20):
        num_words = stories.num_words(utterance)
        runs = [stories.units(utterance, word, word + 1) for word in range(num_words)]
        assert np.array_equal(np.concatenate(runs), stories.units(utterance))
        assert len(stories.units(utterance)) == stories.num_units[utterance]


@given(st.lists(st.sampled_from(["a", "cat.", "dog's", "  café", "\n21", "\U0001f600!"]), min_size=1, max_size=9))
@settings(max_examples=100, deadline=None)
def test_any_text_is_tiled(make_corpus, tokenizer, parts):
    text = " ".join(parts) + " "
    ends = np.linspace(0.1, 1.0, len(parts))
    corpus = make_corpus([(text, text.split(), ends, np.arange(5), np.full(5, 5))])
    runs = [corpus.tokens(0, word, word + 1) for word in range(len(parts))]
    assert np.concatenate(runs).tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert all(len(run) for run in runs)


def test_a_text_that_begins_in_the_middle_has_no_space_before_it(stories, tokenizer):
    text = stories.text(0, 2)
    assert text == " ".join(stories.text(0).split()[2:])
    assert stories.fresh_tokens(0, 2).tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]


def test_units_follow_the_rule_of_interleaving(make_corpus):
    ends, durations = np.array([0.4, 1.0]), np.full(6, 5)
    corpus = make_corpus([("a cat", ["a", "cat"], ends, np.arange(6), durations)])
    expected = stops(words_of_units(durations, ends, 25.0), 2)
    assert corpus.unit_stops.tolist() == expected.tolist()


def test_utterances_without_words_without_text_and_of_silence_only(make_corpus):
    none = np.zeros(0)
    corpus = make_corpus(
        [
            ("a cat today", [], none, np.array([1, 2]), np.array([5, 5])),
            ("", [], none, np.array([3]), np.array([25])),
            ("a", ["a"], np.array([0.2]), np.array([0]), np.array([25])),
        ]
    )
    assert corpus.has_words.tolist() == [False, False, True]
    assert corpus.num_tokens.tolist()[1] == 0 and corpus.num_units.tolist() == [2, 1, 1]
    assert [corpus.num_words(utterance) for utterance in range(3)] == [1, 1, 1]
    assert corpus.text(0) == "a cat today" and corpus.units(2).tolist() == [0]


def test_written_texts_stand_for_utterances(tokenizer):
    corpus = AlignedCorpus(Texts(["a cat.", ""]), tokenizer, 25.0)
    assert corpus.num_units.tolist() == [0, 0]
    assert tokenizer.decode(corpus.tokens(0, 1, 2)) == " cat."


def test_an_empty_corpus_has_nothing(make_corpus):
    assert len(make_corpus([])) == 0


def test_a_tokenizer_without_offsets_is_refused():
    with pytest.raises(InputError, match="use_fast=True"):
        AlignedCorpus(Texts(["a"]), object(), 25.0)


@pytest.mark.parametrize("kind", ["bytes", "bytes_trimmed", "metaspace", "words"])
def test_every_kind_of_tokenizer_gives_each_word_its_own_tokens(kind):
    text = "The cat's  kite: twenty-one caf\u00e9s, really?  Yes."
    core = Tokenizer(models.WordLevel(unk_token="<unk>") if kind == "words" else models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = {
        "words": pre_tokenizers.Whitespace(),
        "metaspace": pre_tokenizers.Metaspace(prepend_scheme="always"),
    }.get(kind, pre_tokenizers.ByteLevel(add_prefix_space=False))
    if kind == "bytes_trimmed":
        core.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = (trainers.WordLevelTrainer if kind == "words" else trainers.BpeTrainer)(
        vocab_size=120, special_tokens=["<unk>"], show_progress=False
    )
    core.train_from_iterator([text] * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")
    corpus = AlignedCorpus(Texts([text]), tokenizer, 25.0)
    whole = tokenizer(text, add_special_tokens=False)["input_ids"]
    runs = [corpus.tokens(0, word, word + 1) for word in range(len(text.split()))]
    assert np.concatenate(runs).tolist() == whole
    spelled = ["".join(tokenizer.convert_ids_to_tokens(run)) for run in runs]
    alone = ["".join(tokenizer.tokenize(" " + word)) for word in text.split()]
    assert [part.strip("\u2581\u0120") for part in spelled] == [part.strip("\u2581\u0120") for part in alone]


def test_shards_are_read_as_they_are(tmp_path, tokenizer):
    words = (Segment("a", 0.0, 0.4), Segment("cat.", 0.6, 1.0))
    with ShardWriter(tmp_path / "00.parquet", ShardMetadata(25.0, "ab", 20)) as writer:
        for number in range(3):
            units = np.arange(5) + number
            writer.add(UnitUtterance(str(number), "a cat.", words, units, np.full(5, 5), "s", "en", "x", 1.0))
    shards = read_shards(tmp_path)
    corpus = AlignedCorpus(shards, tokenizer, shards.metadata.frame_rate)
    assert len(corpus) == 3 and corpus.units(2, 1, 2).tolist() == [4, 5, 6]
    assert tokenizer.decode(corpus.tokens(1, 1)) == " cat."
