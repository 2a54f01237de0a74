"""A small text language model of one's own: tokenizer, Llama, and its pretraining on running text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.utils.data import Dataset
from transformers import (
    AutoConfig,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers import PreTrainedTokenizerBase as TokenizerBase

from smoltolk.common.errors import InputError, NotFoundError, first_line
from smoltolk.common.hub import check_place
from smoltolk.data.rows.plain_tokens import plain_ids
from smoltolk.model.ids import IGNORE
from smoltolk.training.hardware import Hardware
from smoltolk.training.recipe import BackboneSize, Recipe
from smoltolk.training.stages import run_stage, save_model
from smoltolk.training.trainer import Report

EOS = "<|endoftext|>"
_POSITIONS = 2048  # that a small model is made for at least; they are computed, and cost nothing
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE: every string has ids, frequent words have one."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return as_text_model_has_it(tokenizer)


def as_text_model_has_it(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """A tokenizer that :func:`train_tokenizer` has trained, for transformers."""
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=EOS, bos_token=EOS)


def load_tokenizer(name_or_path: str | Path) -> TokenizerBase:
    """The fast tokenizer of a text model.

    Raises:
        NotFoundError: no such directory.
        InputError: there is none, it is not a fast one, or it has no end-of-sequence token.
    """
    folder = Path(name_or_path)
    check_place(name_or_path, "a text model", owned=False)
    if folder.is_dir() and not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        # transformers would make an empty one from the model's configuration.
        raise InputError(
            "a text model must come with its tokenizer",
            f"{folder} has none of {', '.join(_TOKENIZER_FILES)}",
            "save it beside the model: tokenizer.save_pretrained(DIRECTORY)",
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(name_or_path))
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, OSError) and not folder.is_dir():
            raise NotFoundError(
                "a text model is a directory, or a hub id that can be reached or was fetched before",
                f"{str(name_or_path)!r}: {first_line(error)}",
                "check the name and the connection, or name a directory",
            ) from error
        raise InputError(
            "a text model must come with its tokenizer",
            f"none at {str(name_or_path)!r}: {first_line(error)}",
            "save it beside the model: tokenizer.save_pretrained(DIRECTORY)",
        ) from error
    if not tokenizer.is_fast or len(tokenizer) < 2:
        raise InputError(
            "interleaving needs a fast tokenizer, which knows where its tokens lie in the text",
            f"{type(tokenizer).__name__} with {len(tokenizer)} ids at {str(name_or_path)!r}",
            "convert it once: AutoTokenizer.from_pretrained(..., use_fast=True).save_pretrained(DIRECTORY)",
        )
    if tokenizer.eos_token_id is None:
        raise InputError(
            "the tokenizer must have an end-of-sequence token",
            f"{str(name_or_path)!r} names none",
            "set tokenizer.eos_token and save it again",
        )
    return tokenizer


def load_text_config(name_or_path: str) -> PreTrainedConfig:
    """The configuration of a text model, without its weights.

    Raises:
        InputError: nothing loadable is there.
    """
    try:
        return AutoConfig.from_pretrained(name_or_path)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            "a text model is a hub id or a directory with a configuration that transformers knows",
            f"{name_or_path!r}: {first_line(error)}",
            "name a decoder-only language model; for a directory, one written by save_pretrained",
        ) from error


def new_backbone(
    tokenizer: TokenizerBase, size: BackboneSize, seed: int, row_length: int = _POSITIONS
) -> LlamaForCausalLM:
    """A freshly initialised small Llama for this tokenizer.

    Args:
        tokenizer: of its text.
        size: of the model.
        seed: of its weights.
        row_length: ids of the rows that it will be trained on, all of which it must name as its own.
    """
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden_size,
        intermediate_size=8 * size.hidden_size // 3 // 32 * 32,
        num_hidden_layers=size.num_layers,
        num_attention_heads=size.num_heads,
        num_key_value_heads=size.num_heads,
        max_position_embeddings=max(_POSITIONS, row_length),
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


class TextRows(Dataset):
    """Row i of running text: stories from ``text(k)``, each behind an end of sequence, cut at T ids.

    Row i begins a story of its own and takes the next ones from numbers that no other row uses, so it is a
    function of i alone.

    Args:
        text: story number -> text.
        tokenizer: of the text model.
        row_length: T.
        num_rows: length of the data set.
        stories_per_row: numbers set aside for each row; a row that still is not full repeats nothing, it is padded.
    """

    def __init__(
        self, text: Callable[[int], str], tokenizer: TokenizerBase, row_length: int, num_rows: int, stories_per_row: int
    ):
        self.text, self.tokenizer = text, tokenizer
        self.row_length, self.num_rows, self.stories_per_row = row_length, num_rows, stories_per_row

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        eos, length = self.tokenizer.eos_token_id, self.row_length
        ids: list[int] = []
        labels: list[int] = []
        positions: list[int] = []
        for k in range(self.stories_per_row):
            story = plain_ids(self.tokenizer, self.text(index * self.stories_per_row + k))
            ids += [eos, *story]
            labels += [IGNORE, *story]
            positions += range(len(story) + 1)
            if len(ids) >= length:
                break
        missing = max(0, length - len(ids))
        ids, labels, positions = ids + [eos] * missing, labels + [IGNORE] * missing, positions + [0] * missing
        row = {"input_ids": ids, "labels": labels, "position_ids": positions}
        return {name: torch.tensor(values[:length]) for name, values in row.items()}


def collate_text(rows: Sequence[dict[str, Tensor]]) -> dict[str, Tensor | bool]:
    """Stack rows; positions that restart keep the packed stories apart."""
    batch: dict[str, Tensor | bool] = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    return {**batch, "use_cache": False}


def pretrain(
    model: PreTrainedModel,
    tokenizer: TokenizerBase,
    text: Callable[[int], str],
    recipe: Recipe,
    work_dir: Path,
    out_dir: Path,
    *,
    stories_per_row: int = 8,
    seed: int = 0,
    report: Report | None = None,
    hardware: Hardware | None = None,
) -> list[dict]:
    """Train on running text and save an ordinary Hugging Face directory with its tokenizer."""
    (stage,) = recipe.stages
    num_rows = stage.num_steps * recipe.rows_per_step
    rows = TextRows(text, tokenizer, recipe.row_length, num_rows, stories_per_row)
    log = run_stage(model, recipe, stage, rows, collate_text, work_dir, hardware=hardware, seed=seed, report=report)
    save_model(model, out_dir, tokenizer=tokenizer)
    return log.history
