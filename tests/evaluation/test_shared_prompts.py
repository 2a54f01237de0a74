"""Prompts that are computed once: which, and that every score stays what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.evaluation.prompt_cache import can_go_on
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.scoring import score, score_ids
from smoltolk.evaluation.sequences import Scored
from smoltolk.evaluation.shared_prompts import CALLS, in_portions
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.report.results import DIRECTIONS
from smoltolk.training.systems import EARLY_FUSION

K, V = 12, 50
Make = Callable[..., PreTrainedModel]
SETTINGS: dict[str, dict[str, Any]] = {
    "late fusion": {},
    "early fusion": EARLY_FUSION,
    "static mix": {"layer_mix": "static"},
    "mix of all layers": {"layer_mix_pool": "all"},
    "predicted switch": {"predict_switch": True},
    "untied, no residual": {"tie_speech_embeddings": False, "speech_residual": False},
    "frames": {"num_codebooks": 3},
    "frames, other delays": {"num_codebooks": 3, "codebook_delays": [0, 3, 1], "predict_switch": True},
    "frames, no delay": {"num_codebooks": 3, "codebook_delays": [0, 0, 0]},
}
WINDOWS = {"sliding_window": 6, "layer_types": ["full_attention", "sliding_attention"]}
BACKBONES = {"mistral": {"sliding_window": 6}, "gpt2": {}, "gemma3_text": WINDOWS}
TEXT_MODELS = {"llama": {}, "gpt2": {}, "mistral": {"sliding_window": 6}, "bloom": {}, "mpt": {}, "qwen3_moe": {}}
TEXT_MODELS |= {"gemma3_text": WINDOWS}


def text_model(architecture: str = "llama", **changes: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    sizes = {"vocab_size": V, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64}
    ends = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": None}
    config = AutoConfig.for_model(architecture, **(sizes | heads | ends | changes))
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture(scope="module")
def make() -> Make:
    """A random model whose ids are far from equally likely; each is made once."""
    made: dict[str, PreTrainedModel] = {}

    def build(name: str) -> PreTrainedModel:
        if name in SETTINGS or name.startswith("around "):
            backbone = name.removeprefix("around ") if name.startswith("around ") else "llama"
            source = text_model(backbone, **BACKBONES.get(backbone, {}))
            model = SmolTolkForCausalLM.from_text_model(source, num_units=K, **SETTINGS.get(name, {}))
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.1 * torch.randn_like(parameter))
            return model.eval()
        return text_model(name, **TEXT_MODELS[name])

    def cached(name: str) -> PreTrainedModel:
        if name not in made:
            made[name] = build(name)
        return made[name]

    return cached


def space_of(model: PreTrainedModel) -> Any:
    return model.config.id_space if isinstance(model, SmolTolkForCausalLM) else None


def question(model: PreTrainedModel, way: str, prompt: int, continuations: list[int], seed: int = 0) -> list[Scored]:
    """Continuations of so many ids each, behind one prompt of so many."""
    rng, space = np.random.default_rng(seed), space_of(model)
    if space is None:
        before = [1, *rng.integers(2, V, prompt)]
        return [Scored([*before, *rng.integers(2, V, length)], 1 + prompt) for length in continuations]

    def said(document: Document, modality: str, ids: np.ndarray) -> Document:
        return document.speech(ids) if modality == "S" else document.text(ids)

    def drawn(modality: str, length: int) -> np.ndarray:
        shape = (length, space.num_codebooks) if modality == "S" and space.num_codebooks > 1 else length
        return rng.integers(2, K, shape)

    before, found = drawn(way[0], prompt), []
    for length in continuations:
        document = said(Document(space), way[0], before)
        document = document.switch() if way[0] != way[-1] else document
        start = len(document)
        document = said(document, way[-1], drawn(way[-1], length))
        found.append(Scored.of(document.end() if length % 2 else document, start, space))
    return found


@contextmanager
def shared(call: int = 0) -> Iterator[None]:
    """All that can be shared is, however little it spares."""
    with patch.dict("smoltolk.evaluation.shared_prompts.CALLS", cpu=call):
        yield


def whole(model: PreTrainedModel, sequences: list[Scored], **options: Any) -> np.ndarray:
    with patch("smoltolk.evaluation.scoring.can_go_on", return_value=False):
        return score(model, sequences, space=space_of(model), **options).nll


@contextmanager
def seen_by_backbone(model: PreTrainedModel) -> Iterator[list[int]]:
    """Positions, padding included, that the text model computes in each call."""
    backbone = (model.backbone if isinstance(model, SmolTolkForCausalLM) else model).base_model
    positions: list[int] = []

    def count(module: object, args: object, kwargs: dict[str, Any]) -> None:
        given = kwargs.get("inputs_embeds", kwargs.get("input_ids"))
        positions.append(given.shape[0] * given.shape[1])

    handle = backbone.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield positions
    finally:
        handle.remove()


# ---------------------------------------------------------------------- scores stay what they are

QUESTIONS = st.lists(
    st.tuples(st.sampled_from(DIRECTIONS), st.integers(1, 24), st.lists(st.integers(1, 9), min_size=1, max_size=5)),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("name", [*SETTINGS, *(f"around {name}" for name in BACKBONES), *TEXT_MODELS])
@settings(max_examples=8, deadline=None, derandomize=True, phases=[Phase.generate])
@given(drawn=QUESTIONS, batch_tokens=st.sampled_from([1, 60, 4096]), end=st.booleans(), order=st.randoms())
def test_scores_are_those_of_whole_sequences(
    name: str, make: Make, drawn: list[Any], batch_tokens: int, end: bool, order: Any
) -> None:
    model = make(name)
    assert can_go_on(model)
    sequences = [
        one
        for seed, (way, prompt, continuations) in enumerate(drawn)
        for one in question(model, way, prompt, continuations, seed)
    ]
    order.shuffle(sequences)
    options: dict[str, Any] = {"batch_tokens": batch_tokens, "rule": Rule(score_end=end)}
    with shared():
        found = score(model, sequences, space=space_of(model), **options).nll
    np.testing.assert_allclose(found, whole(model, sequences, **options), rtol=1e-5)


@pytest.mark.parametrize("name", [*SETTINGS, *(f"around {name}" for name in BACKBONES), *TEXT_MODELS])
def test_prompts_are_scored_in_the_pass_that_is_gone_on_from(name: str, make: Make) -> None:
    """Once for each prompt, in batches of prompts of other lengths: the same nats as of whole sequences."""
    model, batches = make(name), [(way, 8 + 5 * seed) for seed, way in enumerate(DIRECTIONS)]
    sequences, places = [], []
    for seed, (way, prompt) in enumerate(batches):
        sequences += question(model, way, prompt, [3, 8, 5], seed)
        places += [1 + seed % 3, None, None]
    with shared():
        found = score_ids(model, sequences, space=space_of(model), prompts_from=places)
    with patch("smoltolk.evaluation.scoring.can_go_on", return_value=False):
        each = [
            score_ids(model, [one], space=space_of(model), prompts_from=[place])[0]
            for one, place in zip(sequences, places, strict=True)
        ]
    for one, other, place in zip(found, each, places, strict=True):
        np.testing.assert_allclose(one.nll, other.nll, rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(one.end, other.end, rtol=2e-5, atol=1e-6)
        assert (one.before is None) == (place is None) == (other.before is None)
        if one.before is not None and other.before is not None:
            assert len(one.before) and np.isfinite(one.before).all()
            np.testing.assert_allclose(one.before, other.before, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["late fusion", "frames", "llama"])
def test_under_autocast_within_its_rounding(name: str, make: Make) -> None:
    model = make(name)
    sequences = [one for seed, way in enumerate(DIRECTIONS) for one in question(model, way, 20, [3, 8, 5], seed)]
    with shared():
        found = score(model, sequences, space=space_of(model), autocast=True)
        exact = score(model, sequences, space=space_of(model))
    assert (np.abs(found.nll - whole(model, sequences, autocast=True)) / found.count < 0.02).all()
    assert (np.abs(found.nll - exact.nll) / found.count > 1e-6).all()


@pytest.mark.parametrize("name", ["late fusion", "early fusion", "frames", "gpt2"])
def test_no_score_depends_on_its_neighbours(name: str, make: Make) -> None:
    model = make(name)
    first = question(model, "S->S", 20, [3, 8, 5])
    others = [one for seed, way in enumerate(DIRECTIONS) for one in question(model, way, 11 + seed, [9, 4], seed)]
    with shared():
        alone = score(model, first, space=space_of(model)).nll
        among = score(model, [*others[:3], *first, *others[3:]], space=space_of(model)).nll[3:6]
        each = [score(model, [one], space=space_of(model)).nll[0] for one in first]
    np.testing.assert_allclose(among, alone, rtol=1e-5)
    np.testing.assert_allclose(each, alone, rtol=1e-5)


# ---------------------------------------------------------------------- once


@pytest.mark.parametrize("name", ["late fusion", "early fusion", "frames", "llama", "gpt2"])
def test_a_shared_prompt_runs_once(name: str, make: Make) -> None:
    """Without asking: two prompts of 60 ids, each before 8 continuations of 3."""
    model = make(name)
    sequences = [one for seed in range(2) for one in question(model, "S->S", 60 - 2 * (name == "gpt2"), [3] * 8, seed)]
    prompt, length = sequences[0].start, len(sequences[0].ids)
    with seen_by_backbone(model) as positions:
        score(model, sequences[::2] + sequences[1::2], space=space_of(model), rule=Rule(score_end=True))
    tried = positions[:-2]  # a text model is tried out before
    assert sum(tried) < 32
    assert positions[-2:] == [2 * (prompt - 1), 16 * (length - prompt + 1)]


def test_prompts_of_other_codes_are_others(make: Make) -> None:
    """The ids of two prompts may agree where only later codebooks differ."""
    model = make("frames")
    first, second = question(model, "S->S", 20, [4, 4])
    codes = second.codes.copy()
    codes[8] = (codes[8] + 1) % K
    other = Scored(second.ids, second.start, codes)
    assert [len(portion.prompts) for portion in in_portions([first, second] * 20, 4096)] == [1]
    with shared():
        assert [portion.length for portion in in_portions([first, other], 4096)] == [0]
        found = score(model, [first, other], space=space_of(model)).nll
    np.testing.assert_allclose(found, whole(model, [first, other]), rtol=1e-5)


def test_where_the_prompt_is_scored_too_it_is_read_whole(make: Make) -> None:
    model = make("late fusion")
    sequences = question(model, "S->S", 20, [3, 8, 5])
    with shared(), seen_by_backbone(model) as positions:
        found = score(model, sequences, space=space_of(model), rule=Rule(scope="whole")).nll
    assert len(positions) == 1
    np.testing.assert_allclose(found, whole(model, sequences, rule=Rule(scope="whole")), rtol=1e-9)


def test_mistakes_are_told_as_they_are_of_whole_sequences(make: Make) -> None:
    model = make("late fusion")
    space = space_of(model)
    good = question(model, "S->S", 20, [3, 4])
    impossible = Scored(np.concatenate([good[0].ids[:21], [5]]), 21)
    with shared(), pytest.raises(InputError, match="sequence 2 has an NLL of inf"):
        score(model, [*good, impossible], space=space)
    model = make("frames")
    good = question(model, "S->S", 20, [3, 4])
    for place, unit, told in ((22, -1, "no unit of codebook 2"), (22, K, "codes are units")):
        codes = good[1].codes.copy()
        codes[place, 1] = unit
        with shared(), pytest.raises(InputError, match=told):
            score(model, [good[0], Scored(good[1].ids, 21, codes)], space=space_of(model))


# ---------------------------------------------------------------------- the plan


def plain(prompt: int, number: int, seed: int, length: int = 4) -> list[Scored]:
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 1000, prompt)
    return [Scored(np.concatenate([before, rng.integers(0, 1000, length)]), prompt) for _ in range(number)]


@settings(max_examples=60, deadline=None)
@given(
    drawn=st.lists(st.tuples(st.integers(1, 400), st.integers(1, 6)), max_size=12),
    call=st.sampled_from([0, 16, CALLS["cpu"]]),
    batch_tokens=st.sampled_from([1, 300, 4096]),
    order=st.randoms(),
)
def test_every_sequence_once_behind_its_own_prompt(
    drawn: list[tuple[int, int]], call: int, batch_tokens: int, order: Any
) -> None:
    sequences = [one for seed, (prompt, number) in enumerate(drawn) for one in plain(prompt, number, seed)]
    order.shuffle(sequences)
    with shared(call):
        portions = in_portions(sequences, batch_tokens)
    assert sorted(member for portion in portions for member in portion.members) == list(range(len(sequences)))
    for portion in portions:
        if not portion.length:
            assert not portion.prompts and not portion.rows
            continue
        assert len(portion.prompts) == 1 or 2 * len(portion.prompts) * portion.length <= batch_tokens
        assert (len(portion.members) - len(portion.prompts)) * portion.length > 2 * call
        for member, row in zip(portion.members, portion.rows, strict=True):
            own, prompt = sequences[member], sequences[portion.prompts[row]]
            assert own.start > portion.length  # the continuation's first id is predicted behind what was computed
            assert own.ids[: own.start].tolist() == prompt.ids[: own.start].tolist()


def test_little_is_read_whole_and_like_lengths_go_together() -> None:
    few = plain(100, 2, 0)
    assert [portion.length for portion in in_portions(few, 4096)] == [0]
    near = [one for seed in range(12) for one in plain(100 + seed, 2, seed)]
    assert [(portion.length, len(portion.prompts)) for portion in in_portions(near, 4096)] == [(99, 12)]
    far = [one for seed in range(12) for one in plain(900 if seed < 3 else 100, 3, seed)]
    assert [(portion.length, len(portion.prompts)) for portion in in_portions(far, 4096)] == [
        (899, 2),
        (899, 1),
        (99, 9),
    ]
    crowd = plain(900, 100, 99) + [one for seed in range(12) for one in plain(200 - 10 * seed, 3, seed)]
    assert [(portion.length, len(portion.prompts)) for portion in in_portions(crowd, 4096)] == [
        (899, 1),
        (109, 10),
        (0, 0),  # two more would cut what the ten others spare
    ]
    alone = [one for seed in range(12) for one in plain(110 - seed, 1, 100 + seed)]
    assert [(portion.length, len(portion.members)) for portion in in_portions([*alone, *near], 4096)] == [
        (99, 24),
        (0, 12),
    ]
    assert [portion.length for portion in in_portions([*far, *plain(30, 2, 99)], 4096)] == [899, 899, 99, 0]


def test_prompts_of_one_id_are_none() -> None:
    with shared():
        assert [portion.length for portion in in_portions(plain(1, 50, 0), 4096)] == [0]
        assert in_portions([], 4096) == []
