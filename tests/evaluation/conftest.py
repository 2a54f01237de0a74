"""A model double with known probabilities: what it must score can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from smoltolk.data.shards.parquet import ShardMetadata, ShardWriter, UnitCorpus, UnitUtterance, read_shards
from smoltolk.data.world.stories import Cloze, World
from smoltolk.evaluation.questions import SpokenCloze, option_texts, spoken_clozes
from smoltolk.model.ids import IdSpace
from smoltolk.speech.segments import Segment

FRAME_RATE, FRAMES_PER_WORD = 25.0, 10
METADATA = ShardMetadata(frame_rate=FRAME_RATE, fingerprint="abc", num_units=12)


def _utterance(name: str, text: str, silence: int = 0) -> UnitUtterance:
    """Units 0 and 1 a word in right options, 2 and 3 in wrong ones, and at the end unit 11 for so many frames."""
    spoken = text.split()
    base = 0 if name.endswith("-right") else 2
    starts = np.arange(len(spoken)) * FRAMES_PER_WORD / FRAME_RATE
    units, durations = [base, base + 1] * len(spoken), [FRAMES_PER_WORD // 2] * (2 * len(spoken))
    if silence:
        units, durations = [*units, 11], [*durations, silence]
    return UnitUtterance(
        id=name,
        text=text,
        words=tuple(
            Segment(word, float(start), float(start + FRAMES_PER_WORD / FRAME_RATE))
            for word, start in zip(spoken, starts, strict=True)
        ),
        units=np.array(units, np.uint16),
        durations=np.array(durations, np.uint16),
        speaker="a",
        language="en",
        source="test",
        seconds=sum(durations) / FRAME_RATE,
    )


class BigramDouble(nn.Module):
    """Predicts the next id from the present id alone, by a table of logits.

    The modality rule of the real model holds: the next id has the modality of the present one, and after
        ``<switch>``
    the other one than before it; the other modality's logits are the dtype's minimum. Padding that leaked
    into a score would show itself, because positions with a zero attention mask give NaN.
    """

    def __init__(self, ids: IdSpace, table: torch.Tensor):
        super().__init__()
        self.ids = ids
        self.table = nn.Parameter(table)
        self.calls: list[tuple[int, int]] = []
        self.config = SimpleNamespace(id_space=ids)

    def forward(self, input_ids, attention_mask=None, use_cache=None):
        self.calls.append(tuple(input_ids.shape))
        logits = self.table[input_ids]
        speech = input_ids >= self.ids.speech_offset
        before = torch.nn.functional.pad(speech, (1, 0))[:, :-1]
        next_is_speech = torch.where(input_ids == self.ids.switch, ~before, speech)
        is_speech = torch.arange(self.ids.size) >= self.ids.speech_offset
        logits = logits.masked_fill(is_speech != next_is_speech[..., None], torch.finfo(logits.dtype).min)
        if attention_mask is not None:
            logits = logits.masked_fill(attention_mask[..., None] == 0, float("nan"))
        return SimpleNamespace(logits=logits)


@pytest.fixture(scope="session")
def double() -> type[BigramDouble]:
    """``double(ids, table [ids, ids])``."""
    return BigramDouble


@pytest.fixture
def uniform(ids: IdSpace) -> BigramDouble:
    """Every id of a modality is as likely as any other: log 20 a token, log 10 a unit."""
    return BigramDouble(ids, torch.zeros(ids.size, ids.size))


@pytest.fixture
def bigram(ids: IdSpace) -> BigramDouble:
    """Fixed random bigram probabilities."""
    return BigramDouble(ids, torch.randn(ids.size, ids.size, generator=torch.Generator().manual_seed(5)))


@pytest.fixture(scope="session")
def clozes(world: World) -> list[Cloze]:
    """12 about stories, 12 about heard facts, 12 about facts that are only read."""
    return world.story_clozes(12) + world.fact_clozes(12, heard=True) + world.fact_clozes(12, heard=False)


@pytest.fixture(scope="session")
def corpus(clozes: list[Cloze], tmp_path_factory: pytest.TempPathFactory) -> UnitCorpus:
    """Their options, as the utterances that :func:`utterance` makes, with a silence behind them."""
    path = tmp_path_factory.mktemp("cloze") / "part.parquet"
    with ShardWriter(path, METADATA) as writer:
        for name, text in option_texts(clozes):
            writer.add(_utterance(name, text, silence=7))
    return read_shards(path)


@pytest.fixture(scope="session")
def utterance() -> Callable[..., UnitUtterance]:
    """``utterance(id, text, silence=0)``."""
    return _utterance


@pytest.fixture(scope="session")
def items(clozes: list[Cloze], corpus: UnitCorpus, tokenizer: PreTrainedTokenizerFast) -> list[SpokenCloze]:
    """Both joined."""
    return spoken_clozes(clozes, corpus, tokenizer)
