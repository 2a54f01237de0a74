"""A model double with known probabilities: what it must score can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, MimiConfig, MimiModel, PreTrainedTokenizerFast

from smoltolk.data.shards.parquet import ShardMetadata, ShardWriter, UnitCorpus, UnitUtterance, read_shards
from smoltolk.data.world.stories import Cloze, World
from smoltolk.evaluation.questions import SpokenCloze, option_texts, spoken_clozes
from smoltolk.evaluation.results import (
    COMPARED,
    DIRECTIONS,
    FURTHER,
    KINDS,
    LENS_WAYS,
    OUTCOMES,
    difference_key,
    layer_names,
)
from smoltolk.model.ids import IdSpace
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.segments import Segment
from smoltolk.speech.units.codecs import CodecUnitTokenizer

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
def ids() -> IdSpace:
    """20 text ids (16 the end, 17-19 control), 8 units."""
    return IdSpace(speech_offset=20, num_units=8, begin_prompt=17, end_prompt=18, switch=19, eos_text=16)


@pytest.fixture
def uniform(ids: IdSpace) -> BigramDouble:
    """Every id of a modality is as likely as any other: log 20 a token, log 10 a unit."""
    return BigramDouble(ids, torch.zeros(ids.size, ids.size))


@pytest.fixture
def bigram(ids: IdSpace) -> BigramDouble:
    """Fixed random bigram probabilities."""
    return BigramDouble(ids, torch.randn(ids.size, ids.size, generator=torch.Generator().manual_seed(5)))


@pytest.fixture(scope="session")
def words() -> list[str]:
    """What the tokenizer has seen."""
    stories = World(seed=0, num_people=12).stories(60, heard_only=False)
    return [story.text for story in stories]


@pytest.fixture(scope="session")
def tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of 400 ids."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<eos>"], initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(words, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>")


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


@pytest.fixture(scope="session")
def space(tokenizer: PreTrainedTokenizerFast) -> IdSpace:
    """The ids of :func:`model`, or of a double of it."""
    size = len(tokenizer)
    return IdSpace(
        speech_offset=size + 4, num_units=12, begin_prompt=size, end_prompt=size + 1, switch=size + 2, eos_text=0
    )


@pytest.fixture(scope="session")
def model(tokenizer: PreTrainedTokenizerFast) -> SmolTolkForCausalLM:
    """A real model with random weights over the tokenizer's ids and 12 units."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    made = SmolTolkForCausalLM.from_text_model(
        LlamaForCausalLM(config), num_units=12, eos_text_id=0, num_input_layers=1, num_output_layers=1
    )
    return made.eval()


@pytest.fixture(scope="session")
def codec() -> CodecUnitTokenizer:
    """As Mimi: 12.5 frames a second of 8 units of 2,048 each; its weights are small, and random."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_filters": 4, "num_residual_layers": 1, "upsampling_ratios": [8, 6, 5, 4]}
    more = {"codebook_dim": 8, "vector_quantization_hidden_dimension": 8, "num_quantizers": 8}
    layers = {"num_hidden_layers": 1, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 2}
    model = MimiModel(MimiConfig(**sizes, **more, **layers, head_dim=8, upsample_groups=16))
    for name, buffer in model.named_buffers():
        if name.endswith("embed_sum"):
            buffer.normal_()
    return CodecUnitTokenizer(model)


@pytest.fixture(scope="session")
def make_codec_model(byte_tokenizer: PreTrainedTokenizerFast, codec: CodecUnitTokenizer) -> Callable[..., Any]:
    """``make_codec_model(num_codebooks=4)``: a random model of the codec's frames, over the ids of bytes."""

    def make(**settings: Any) -> SmolTolkForCausalLM:
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(byte_tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, bos_token_id=0, eos_token_id=0,
        )  # fmt: skip
        units = {
            "num_units": codec.num_units,
            "num_codebooks": codec.num_codebooks,
            "unit_fingerprint": codec.fingerprint,
        }
        more = {"num_input_layers": 1, "num_output_layers": 1}
        made = SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), **(units | more | settings))
        with torch.no_grad():  # far from alike, so that greedy choices are no matter of the last bit
            for parameter in made.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return made.eval()

    return make


@pytest.fixture(scope="session")
def codec_model(make_codec_model: Callable[..., SmolTolkForCausalLM]) -> SmolTolkForCausalLM:
    """Read only."""
    return make_codec_model()


_WAYS = {**dict.fromkeys(KINDS, DIRECTIONS), "lens": LENS_WAYS}
_LAST = {"late": 3, "early": 3, "early_plus": 5, "early_long": 3}  # layers


def _scores(accuracy: float, width: float, n: int) -> dict[str, float]:
    return {"accuracy": accuracy, "low": max(0.0, accuracy - width), "high": min(1.0, accuracy + width), "n": n}


def _cell(single: float, pair: float) -> dict[str, Any]:
    """A cell with intervals to both sides."""
    return _scores(single, 0.04, 500) | {"pair": _scores(pair, 0.05, 250)}


def _gap(first: dict[str, Any], second: dict[str, Any]) -> dict[str, float]:
    gap = first["accuracy"] - second["accuracy"]
    return {"difference": gap, "low": gap - 0.03, "high": gap + 0.03, "n": first["n"]}


def _difference(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return _gap(first, second) | {"pair": _gap(first["pair"], second["pair"])}


def _made_results(pairs: dict[str, dict[tuple[str, str], float]] | None = None, **singles: Any) -> dict[str, Any]:
    """Results in which every cell is 0.7 but those given, e.g. ``late={("story", "S->S"): 0.5}`` for single
    questions and ``pairs={"late": {("lens", "S->S"): 0.5}}``. Early fusion trained longer is there if it is
    named."""
    pairs = pairs or {}
    models: dict[str, Any] = {}
    for number, system in enumerate([*COMPARED, *(s for s in FURTHER if s in singles or s in pairs)]):
        single, pair = singles.get(system, {}), pairs.get(system, {})
        cells = {
            kind: {way: _cell(single.get((kind, way), 0.7), pair.get((kind, way), 0.7)) for way in ways}
            for kind, ways in _WAYS.items()
        }
        cells["lens"] = {
            way: {str(layer): _cell(0.55 + layer / 100, 0.56 + layer / 100) for layer in range(_LAST[system])}
            | {str(_LAST[system]): cell}
            for way, cell in cells["lens"].items()
        }
        models[system] = cells
        models[system] |= {
            "speech_nll": 1.5 + number / 10,
            "text_nll_before": 0.9,
            "text_nll_after": 0.95,
            "recognition_wer": 0.1,
            "recognition_wer_low": 0.08,
            "recognition_wer_high": 0.13,
            "synthesis_wer": 1.2,
            "parameters": 1_410_000,
            "train_tokens_per_second": 9876.5,
        }
    results: dict[str, Any] = {
        "seed": 0,
        "scale": "small",
        "outcomes": [outcome.name for outcome in OUTCOMES],
        "seconds": {"world": 0.4, "speech": 58.0, "train-late": 151.0, "total": 210.0},
        "tokens": {"training_each": 1_500_000},
        "units": {
            "pnmi": 0.81,
            "purity": 0.88,
            "cross_voice_seen": 0.13,
            "cross_voice_unseen": 0.47,
            "units_per_second": 12.4,
        },
        "vocoder": {"wer_natural": 0.05, "wer_copy": 0.06, "wer_units": 0.07},
        "models": models,
    }
    results["differences"] = {
        difference_key(other): {
            kind: {way: _difference(*(_both(results, system, kind, way) for system in ("late", other))) for way in ways}
            for kind, ways in _WAYS.items()
        }
        for other in models
        if other != "late"
    }
    return results


def _both(results: dict[str, Any], system: str, kind: str, way: str) -> dict[str, Any]:
    """A cell; of the lens that of the last layer."""
    cell = results["models"][system][kind][way]
    return cell[layer_names(cell)[-1]] if kind == "lens" else cell


@pytest.fixture(scope="session")
def make_results() -> Callable[..., dict[str, Any]]:
    """``make_results(pairs={"late": {("fact_read_answer", "S->S"): 0.5}}, ...)``: results with invented numbers."""
    return _made_results
