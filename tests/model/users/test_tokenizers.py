"""A tokenizer that is longer than what the text model brought: its new words would be control ids or units."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoProcessor, PreTrainedModel, PreTrainedTokenizerFast

from smoltolk.common.errors import InputError
from smoltolk.inference.speech_text import SpeechText
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.processing import SmolTolkProcessor
from smoltolk.training.changes import Changes
from smoltolk.training.job import TrainingJob
from smoltolk.training.recipes.positional import positional_recipe

Make = Callable[..., SmolTolkForCausalLM]
NUM_IDS = 257  # of the tokenizer of bytes


@pytest.fixture(scope="module")
def text_model(make_text_model: Callable[..., PreTrainedModel]) -> PreTrainedModel:
    return make_text_model(vocab_size=NUM_IDS, eos_token_id=0)


@pytest.fixture
def longer(byte_tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """One word more than the text model knows."""
    tokenizer = copy.deepcopy(byte_tokenizer)
    assert len(tokenizer) == NUM_IDS and tokenizer.add_tokens(["<a new word>"]) == 1
    return tokenizer


def test_the_tokenizer_that_the_text_model_brought(
    text_model: PreTrainedModel, make_model: Make, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    model = make_model(text_model)
    found = SmolTolkProcessor(byte_tokenizer, model.config.id_space)("hello")["input_ids"]
    assert (found < NUM_IDS).all()


@pytest.mark.parametrize("more", [1, 40, 400])
def test_a_processor(
    more: int, text_model: PreTrainedModel, make_model: Make, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    """Whether the new ids would be spare rows, control ids or units."""
    space = make_model(text_model).config.id_space
    tokenizer = copy.deepcopy(byte_tokenizer)
    tokenizer.add_tokens([f"<new {n}>" for n in range(more)])
    with pytest.raises(InputError, match=f"{NUM_IDS + more}"):
        SmolTolkProcessor(tokenizer, space)


def test_words_added_to_a_processor(
    text_model: PreTrainedModel, make_model: Make, longer: PreTrainedTokenizerFast, byte_tokenizer: Any
) -> None:
    processor = SmolTolkProcessor(copy.deepcopy(byte_tokenizer), make_model(text_model).config.id_space)
    processor.tokenizer.add_tokens(["<a new word>"])
    for use in (processor, processor.synthesis):
        with pytest.raises(InputError, match=str(NUM_IDS + 1)):
            use("say <a new word>")


def test_a_saved_model(
    text_model: PreTrainedModel, make_model: Make, longer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """Read by the processor, by the verbs that speak and hear, and by training from a checkpoint."""
    make_model(text_model).save_pretrained(tmp_path)
    longer.save_pretrained(tmp_path)
    for read in (SmolTolkProcessor.from_pretrained, AutoProcessor.from_pretrained, SpeechText.load):
        with pytest.raises(InputError, match=str(NUM_IDS + 1)):
            read(str(tmp_path))


def test_training(
    text_model: PreTrainedModel,
    longer: PreTrainedTokenizerFast,
    byte_tokenizer: PreTrainedTokenizerFast,
    shards_dir: Path,
    tmp_path: Path,
) -> None:
    few = Changes(steps=3, row_length=96, rows_per_step=2)
    text_model.save_pretrained(tmp_path / "text")
    byte_tokenizer.save_pretrained(tmp_path / "text")
    TrainingJob(positional_recipe(str(tmp_path / "text"), shards_dir, tmp_path / "model", changes=few))
    longer.save_pretrained(tmp_path / "text")
    with pytest.raises(InputError, match=str(NUM_IDS + 1)):
        TrainingJob(positional_recipe(str(tmp_path / "text"), shards_dir, tmp_path / "model", changes=few))


def test_a_table_that_is_longer_than_the_tokenizer(
    make_text_model: Callable[..., PreTrainedModel], make_model: Make, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    """Many text models come with a padded table: their tokenizer may grow as far as that."""
    model = make_model(make_text_model(vocab_size=300, eos_token_id=0))
    tokenizer = copy.deepcopy(byte_tokenizer)
    tokenizer.add_tokens(["<a new word>"])
    ids = SmolTolkProcessor(tokenizer, model.config.id_space)("<a new word>")["input_ids"]
    assert ids[0, -1] == NUM_IDS


@pytest.mark.parametrize("size", [40, 61, 62, 64, 65, 128, 1000])
def test_resize_token_embeddings(size: int, make_model: Make, ids: Tensor, assert_close: Callable) -> None:
    """Either it works, and moves no id, or it says the way."""
    model, before = make_model(), make_model()
    space = model.config.id_space
    try:
        table = model.resize_token_embeddings(size)
    except InputError as error:
        assert "resize" in str(error) and "text model" in str(error)
        with torch.no_grad():
            assert_close(model(ids).logits, before(ids).logits)  # and nothing was changed
        return
    assert table is model.get_input_embeddings()
    after = model.config.id_space
    assert (after.switch, after.speech_offset) == (space.switch, space.speech_offset)
    with torch.no_grad():
        found, expected = model(ids).logits, before(ids).logits
    fewer = min(size, 61)
    assert torch.equal(found[..., :fewer], expected[..., :fewer])
    assert torch.equal(found[..., space.speech_offset :], expected[..., space.speech_offset :])


def test_resize_to_what_it_is(make_model: Make, ids: Tensor) -> None:
    """Trainers call it with nothing to do."""
    model = make_model()
    with torch.no_grad():
        before = model(ids).logits
        assert model.resize_token_embeddings() is model.get_input_embeddings()
        assert torch.equal(model(ids).logits, before)
