"""A tokenizer, an id space, and utterances with made-up units, for the tests of spans and rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.model.ids import IdSpace
from smoltolk.model.modality import at, next_is_speech, previous

FRAME_RATE = 25.0
_TEXT = "The Mia a cat dog's owns eats bread in Oslo, today. happy! Why? kite house café 21 river"
_WORDS = _TEXT.split()


class MadeUtterances:
    """Utterances of (text, words, ends, units, durations)."""

    def __init__(self, items: Sequence[tuple[str, list[str], np.ndarray, np.ndarray, np.ndarray]]):
        self.items = list(items)

    def __len__(self) -> int:
        return len(self.items)

    def text(self, index: int) -> str:
        return self.items[index][0]

    def words(self, index: int) -> tuple[list[str], np.ndarray, np.ndarray]:
        _, words, ends, _, _ = self.items[index]
        return words, np.concatenate([[0.0], ends[:-1]]) if len(ends) else ends, ends

    def units(self, index: int) -> np.ndarray:
        return self.items[index][3]

    def durations(self, index: int) -> np.ndarray:
        return self.items[index][4]


def make_utterances(seed: int, count: int, *, words: tuple[int, int], num_units: int = 20) -> MadeUtterances:
    """Utterances of ``words`` (fewest, most) words, about four units each, with pauses between some."""
    rng = np.random.default_rng(seed)
    items = []
    for _ in range(count):
        chosen = rng.choice(_WORDS, size=rng.integers(words[0], words[1] + 1)).tolist()
        ends = np.cumsum(rng.uniform(0.05, 0.5, len(chosen)))
        frames = int((ends[-1] if len(chosen) else 1.0) * FRAME_RATE) + int(rng.integers(1, 8))
        durations = rng.integers(1, 4, size=frames)
        durations = durations[np.cumsum(durations) <= frames]
        durations = np.append(durations, max(1, frames - durations.sum()))
        units = rng.integers(0, num_units, len(durations)).astype(np.uint16)
        items.append((" ".join(chosen), chosen, ends, units, durations.astype(np.uint16)))
    return MadeUtterances(items)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([_TEXT] * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>")


@pytest.fixture(scope="session")
def space(tokenizer: PreTrainedTokenizerFast) -> IdSpace:
    size = len(tokenizer)
    return IdSpace(
        speech_offset=size + 5,
        num_units=20,
        begin_prompt=size,
        end_prompt=size + 1,
        switch=size + 2,
        eos_text=tokenizer.eos_token_id,
    )


@pytest.fixture(scope="session")
def make_corpus(tokenizer: PreTrainedTokenizerFast) -> Callable[..., AlignedCorpus]:
    """``make_corpus(items)`` or ``make_corpus(seed=, count=, words=(low, high))``."""

    def make(items: Sequence[tuple] | None = None, **kwargs: object) -> AlignedCorpus:
        utterances = make_utterances(**kwargs) if items is None else MadeUtterances(items)  # type: ignore[arg-type]
        return AlignedCorpus(utterances, tokenizer, FRAME_RATE)

    return make


@pytest.fixture(scope="session")
def stories(make_corpus: Callable[..., AlignedCorpus]) -> AlignedCorpus:
    return make_corpus(seed=1, count=60, words=(5, 25))


@pytest.fixture(scope="session")
def announced() -> Callable[..., np.ndarray]:
    """``announced(ids, space, document_ids)``: by the model's own rule, whether speech follows each id [T]."""

    def announce(ids: np.ndarray, space: IdSpace, document_ids: np.ndarray | None = None) -> np.ndarray:
        row = torch.from_numpy(ids)[None]
        borders = None if document_ids is None else torch.from_numpy(document_ids)[None]
        is_speech = row >= space.speech_offset
        follows = next_is_speech(row, space.switch, is_speech, at(is_speech, previous(row.shape, row.device, borders)))
        return follows[0].numpy()

    return announce
