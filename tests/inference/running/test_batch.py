"""What a row makes is what it makes alone, whoever joins and leaves around it."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BloomConfig, GPT2Config, LlamaConfig, MistralConfig

from smoltolk.common.errors import InputError
from smoltolk.inference.generation import generate
from smoltolk.inference.running.batch import RunningBatch
from smoltolk.inference.running.rows import Ask, Drawing, Row
from smoltolk.inference.sampling import Sampling


class Kept:
    """What a row was told."""

    def __init__(self):
        self.ids, self.logprobs, self.prompt_logprobs, self.ending, self.error = [], [], [], None, None

    def __call__(self, made):
        assert self.ending is None, "told after its end"
        self.ids += made.ids
        self.logprobs += made.logprobs
        self.prompt_logprobs += made.prompt_logprobs
        self.ending, self.error = made.ending, made.error


def start(batch, ask):
    kept = Kept()
    row = Row(ask, kept)
    batch.waiting.append(row)
    return row, kept


def run(batch):
    while batch.has_work:
        batch.step()


def alone(model, ask):
    batch = RunningBatch(model, slots=1, chunk=1 << 20)
    _, kept = start(batch, ask)
    run(batch)
    return kept


def drawing(number):
    kinds = (None, Sampling(1.0, 0), Sampling(0.7, 5), Sampling(1.3, 0, 0.8), Sampling(0.9, 9, 0.6))
    return Drawing(kinds[number % len(kinds)], number)


@pytest.fixture(scope="module")
def asks(prompts):
    return [
        Ask(prompt, frozenset([end]), most, drawing(number + shift))
        for number, (prompt, end) in enumerate(prompts)
        for shift, most in enumerate((25, 7))
    ]


@pytest.fixture(scope="module")
def expected(sharp, asks):
    return [alone(sharp, ask) for ask in asks]


@settings(deadline=None, max_examples=12)
@given(data=st.data())
def test_a_row_is_what_it_would_be_alone(sharp, asks, expected, data):
    batch = RunningBatch(sharp, slots=data.draw(st.integers(1, 7)), chunk=data.draw(st.sampled_from([8, 60, 300])))
    order = data.draw(st.permutations(range(len(asks))))[:12]
    kept, cancelled = {}, set()
    for number in order:
        row, kept[number] = start(batch, asks[number])
        for _ in range(data.draw(st.integers(0, 6))):
            batch.step()
        if data.draw(st.integers(0, 5)) == 0:
            row.cancel()
            cancelled.add(number)
    run(batch)
    for number in order:
        made, wanted = kept[number], expected[number]
        assert made.ending in (wanted.ending, *(["cancelled"] if number in cancelled else []))
        cut = len(made.ids) if made.ending == "cancelled" else len(wanted.ids)
        assert made.ids == wanted.ids[:cut]
    assert len(batch.grid) == 0 and batch.grid.num_bytes == 0


def test_rows_are_those_of_generate(sharp, asks, expected):
    for ask, kept in zip(asks, expected, strict=True):
        (end,) = ask.end_ids
        drawing = {"sampling": ask.drawing.sampling, "seed": [ask.drawing.seed]}
        (made,) = generate(sharp, [ask.prompt], end_id=end, pad_id=0, max_new_tokens=ask.most, **drawing)
        assert made.ids.tolist() == kept.ids
        assert made.ended == (kept.ending == "stop")


def test_the_continuations_tell_something(expected):
    """Otherwise the other tests would compare nothing."""
    made = [kept.ids for kept in expected]
    assert len({tuple(ids) for ids in made}) > len(made) // 2
    assert {kept.ending for kept in expected} == {"stop", "length"}
    assert np.mean([len(set(ids)) for ids in made if len(ids) > 5]) > 3


def test_seeds_differ_and_repeat(sharp, prompts):
    prompt, end = prompts[1]
    made = [alone(sharp, Ask(prompt, frozenset([end]), 20, Drawing(Sampling(1.5, 0), seed))).ids for seed in (1, 2, 1)]
    assert made[0] == made[2] != made[1]


def test_a_cancelled_row_frees_its_slot_at_the_next_step(sharp, prompts):
    batch = RunningBatch(sharp, slots=1)
    prompt, _ = prompts[1]
    first, told = start(batch, Ask(prompt, frozenset(), 200))
    _, second = start(batch, Ask(prompt, frozenset(), 3, at_once=True))
    for _ in range(4):
        batch.step()
    assert batch.running == [first] and len(batch.waiting) == 1
    first.cancel()
    batch.step()
    assert told.ending == "cancelled" and len(second.ids) >= 1
    run(batch)
    assert second.ending == "length" and len(second.ids) == 3


def test_a_long_prompt_does_not_keep_others_waiting(sharp, prompts):
    batch = RunningBatch(sharp, slots=4, chunk=16)
    quick, told = start(batch, Ask(prompts[0][0], frozenset(), 100, at_once=True))
    batch.step()
    start(batch, Ask(prompts[4][0], frozenset(), 5))  # 95 ids: six chunks
    before = len(told.ids)
    for number in range(1, 6):
        batch.step()
        assert len(told.ids) == before + number and batch.num_reading == 1
    assert not quick.ended
    run(batch)


def test_log_probabilities(sharp, prompts):
    """Of prompt and continuation, those of the model's own logits; what no head predicts has none."""
    prompt, end = prompts[2]
    ask = Ask(prompt, frozenset([end]), 6, top_logprobs=3, echo=True)
    batch = RunningBatch(sharp, slots=3, chunk=10)
    _, kept = start(batch, ask)
    for number in (3, 5):
        start(batch, Ask(prompts[number][0], frozenset(), 9, Drawing(Sampling(1.0, 0))))
    run(batch)
    ids = torch.tensor([[*prompt, *kept.ids]])
    with torch.no_grad():
        logits = sharp(input_ids=ids).logits[0].double()
    floor = torch.finfo(torch.float32).min
    wanted = logits.masked_fill(logits <= floor, -torch.inf).log_softmax(-1)
    found = [*kept.prompt_logprobs, *kept.logprobs]
    assert [one.token_id for one in found] == ids[0].tolist()
    assert found[0].own is None
    for place, one in enumerate(found[1:]):
        assert one.own == pytest.approx(float(wanted[place, one.token_id]), abs=1e-4)
        best = wanted[place].topk(3)
        assert [value for _, value in one.top] == pytest.approx(best.values.tolist(), abs=1e-4)


def test_a_prompt_alone_is_scored_and_nothing_made(sharp, prompts):
    kept = alone(sharp, Ask(prompts[0][0], frozenset(), 0, top_logprobs=0, echo=True))
    assert kept.ending == "length" and kept.ids == [] and len(kept.prompt_logprobs) == len(prompts[0][0])


def test_a_model_that_may_switch_is_held_or_not(make_sharp, prompts):
    chooser = make_sharp(predict_switch=True)
    with torch.no_grad():
        chooser.heads.switch.weight.zero_()
    switch = chooser.config.switch_id
    prompt = prompts[1][0]
    held = alone(chooser, Ask(prompt, frozenset(), 60, Drawing(Sampling(2.0, 0), 3)))
    free = alone(chooser, Ask(prompt, frozenset(), 60, Drawing(Sampling(2.0, 0), 3), holds=False))
    assert switch not in held.ids and switch in free.ids
    assert all(pair != (switch, switch) for pair in zip(free.ids, free.ids[1:], strict=False))


SMALL = {"vocab_size": 400, "num_hidden_layers": 2, "bos_token_id": 0, "eos_token_id": 0}
TEXT_MODELS = {
    "sliding windows": MistralConfig(
        **SMALL, hidden_size=32, intermediate_size=64, num_attention_heads=2, num_key_value_heads=1, sliding_window=9
    ),
    "learned positions": GPT2Config(**SMALL, n_embd=32, n_head=2, n_positions=400),
    "distances in place of positions": BloomConfig(**SMALL, hidden_size=32, n_head=2),
}


@pytest.mark.parametrize(
    "settings",
    [
        {"patch_size": 2},
        {"layer_mix_pool": "all"},
        {"num_input_layers": 0},
        *({"text_config": one} for one in TEXT_MODELS.values()),
    ],
    ids=["patches", "pool of all", "early fusion", *TEXT_MODELS],
)
def test_other_models(make_sharp, prompts, settings):
    model = make_sharp(**settings)
    asks = [Ask(prompt, frozenset([end]), 12, drawing(number)) for number, (prompt, end) in enumerate(prompts[:9])]
    expected = [alone(model, ask).ids for ask in asks]
    batch = RunningBatch(model, slots=4, chunk=50)
    kept = []
    for ask in asks:
        kept.append(start(batch, ask)[1])
        batch.step()
    run(batch)
    assert [one.ids for one in kept] == expected


def test_what_fails_is_told_and_the_batch_goes_on(private, prompts):
    batch = RunningBatch(private, slots=2)
    _, told = start(batch, Ask(prompts[0][0], frozenset(), 50))
    batch.step()
    batch.fail(RuntimeError("no memory"))
    assert told.ending == "failed" and str(told.error) == "no memory" and not batch.has_work
    _, told = start(batch, Ask(prompts[0][0], frozenset(), 5))
    run(batch)
    assert told.ending == "length"


def test_layers_without_positions_are_refused(sharp):
    from smoltolk.inference.running.grid import num_cached_layers

    config = copy.deepcopy(sharp.config)
    layers = config.get_text_config(decoder=True).num_hidden_layers
    assert num_cached_layers(config) == layers

    class Hybrid:
        def get_text_config(self, decoder):
            config = LlamaConfig(num_hidden_layers=2)
            config.layer_types = ["linear_attention", "full_attention"]
            return config

    with pytest.raises(InputError, match="attend to positions"):
        num_cached_layers(Hybrid())
