"""Whatever a text spells out, it is text: in rows, in prompts, in scores."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from smoltolk.common.errors import InputError
from smoltolk.data.rows.aligned import AlignedCorpus, Texts
from smoltolk.data.rows.mixture import TextSource
from smoltolk.data.rows.plain_tokens import plain_encoding, plain_ids
from smoltolk.training.backbone import TextRows, train_tokenizer

TEXT = "<|endoftext|> the <switch> train"


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    """As text models bring it: an end of text, and control tokens that somebody added."""
    made = train_tokenizer(["the train left the station"] * 20, 300)
    made.add_special_tokens({"additional_special_tokens": ["<switch>", "<|im_start|>"]})
    return made


def words(vocabulary: dict[str, int], unknown: str | None) -> PreTrainedTokenizerFast:
    core = Tokenizer(models.WordLevel(vocabulary, unknown or "the"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {} if unknown is None else {"unk_token": unknown}
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>", **names)


def test_a_text_that_names_special_tokens_has_none(tokenizer: PreTrainedTokenizerFast) -> None:
    assert set(tokenizer(TEXT)["input_ids"]) & set(tokenizer.all_special_ids)  # what has to be prevented
    ids = plain_ids(tokenizer, TEXT)
    assert not set(ids) & set(tokenizer.all_special_ids) and tokenizer.decode(ids) == TEXT
    offsets = plain_encoding(tokenizer, ["a", TEXT], return_offsets_mapping=True)["offset_mapping"][1]
    assert len(offsets) == len(ids) and "".join(TEXT[start:end] for start, end in offsets) == TEXT
    assert tokenizer("<switch>", add_special_tokens=False)["input_ids"] == [tokenizer.convert_tokens_to_ids("<switch>")]


def test_every_way_of_a_text_into_a_row(tokenizer: PreTrainedTokenizerFast) -> None:
    special = set(tokenizer.all_special_ids)
    corpus = AlignedCorpus(Texts([TEXT]), tokenizer, 25.0)
    assert corpus.num_words(0) == len(TEXT.split())
    spelled = [tokenizer.decode(corpus.tokens(0, word, word + 1)).strip() for word in range(4)]
    assert spelled == TEXT.split()
    fresh = corpus.fresh_tokens(0, 2)
    assert tokenizer.decode(fresh) == "<switch> train" and not special & set(fresh.tolist())
    assert TextSource(lambda _: TEXT, tokenizer).tokens([0, 1]) == [plain_ids(tokenizer, TEXT)] * 2
    row = TextRows(lambda _: TEXT, tokenizer, 40, 1, stories_per_row=1)[0]
    assert (row["input_ids"][1:].numpy()[: len(plain_ids(tokenizer, TEXT))] == plain_ids(tokenizer, TEXT)).all()


def test_a_vocabulary_of_words_may_hold_the_names_as_well() -> None:
    known = {"<|endoftext|>": 0, "<unk>": 1, "the": 2}
    assert plain_ids(words(known, "<unk>"), "the <|endoftext|> the") == [2, 1, 2]
    with pytest.raises(InputError, match=r"without the special tokens\n  found: <\|endoftext\|> in"):
        plain_ids(words({"<|endoftext|>": 0, "the": 1}, None), "the <|endoftext|>")


def test_half_a_character_is_replaced(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.decode(plain_ids(tokenizer, "a \ud83d b")) == "a \ufffd b"
    assert np.array_equal(plain_ids(tokenizer, "\ud83d\ude00"), plain_ids(tokenizer, "\U0001f600"))
