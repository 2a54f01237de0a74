"""Plain ``generate()`` with several codebooks, against a loop written down here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, StaticCache

from smoltolk.common.errors import InputError
from smoltolk.model.codec.codebooks import check_layout, find_runs, frames_of, speaking
from smoltolk.model.codec.delays import delayed
from smoltolk.model.ids import IdSpace
from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]
Written = Callable[..., tuple[Tensor, Tensor]]


@pytest.fixture(scope="module")
def make(make_model: Make) -> Make:
    def several(**changes: Any) -> SmolTolkForCausalLM:
        model = make_model(**({"num_codebooks": 3} | changes))
        torch.manual_seed(3)
        torch.nn.init.normal_(model.units.further.weight, std=0.5)
        return model

    return several


@pytest.fixture(scope="module")
def three(make: Make) -> SmolTolkForCausalLM:
    """Three codebooks, delays 0, 1, 2. Read only."""
    return make()


class _Say(LogitsProcessor):
    """Prefers one speech id at one length, and never says it elsewhere."""

    def __init__(self, token_id: int, length: int):
        self.token_id, self.length = token_id, length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.clone()
        if input_ids.shape[1] == self.length:
            scores[:, self.token_id] += 1e4
        elif self.token_id != input_ids[0, -1]:  # a tail that has begun goes on
            scores[:, self.token_id] -= 1e3
        return scores


def say(model: SmolTolkForCausalLM, ids: Tensor, codes: Tensor | None, ends: int | None = None, **settings: Any) -> Any:
    """Generate, the first codebook ending its run at a length."""
    space = model.config.id_space
    torch.manual_seed(0)
    settings = {"max_new_tokens": 10, "pad_token_id": 0, "do_sample": False} | settings
    end = space.pad_speech if space.tail else space.eos_speech
    settings["logits_processor"] = LogitsProcessorList([_Say(end, ends or 10**6)])
    settings.setdefault("attention_mask", torch.ones_like(ids))
    return model.generate(ids, codes=codes, return_dict_in_generate=True, **settings)


def by_hand(model: SmolTolkForCausalLM, ids: Tensor, codes: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Greedy, one row, without a cache, without an end; the whole past at each step."""
    space = model.config.id_space
    for _ in range(steps):
        with torch.no_grad():
            output = model(ids, codes=codes)
        unit = output.logits[:, -1, space.speech_offset : space.eos_speech].argmax(-1) + space.speech_offset
        ids = torch.cat([ids, unit[:, None]], dim=1)
        runs = find_runs(ids, space)
        now = speaking(runs.place[:, -1], runs.pads[:, -1], space)
        drawn = torch.where(now, output.codebook_logits[:, -1].argmax(-1), -1)
        codes = torch.cat([codes, drawn[:, None]], dim=1)
    return ids, codes


@pytest.mark.parametrize("prompt", ["tttts", "tts2.", "e5.", "e2s", "tts4stts"])
@pytest.mark.parametrize("delays", [[0, 1, 2], [0, 1, 1], [0, 0, 0]])
def test_greedy_is_the_loop_by_hand(prompt: str, delays: list[int], make: Make, written: Written) -> None:
    model = make(codebook_delays=delays)
    if prompt == "e2s":
        prompt = "e2stts"
    ids, codes = written(model.config.id_space, prompt)
    expected = by_hand(model, ids, codes, 6)
    for use_cache in (True, False):
        found = say(model, ids, codes, max_new_tokens=6, use_cache=use_cache)
        assert torch.equal(found.sequences, expected[0]) and torch.equal(found.codes, expected[1])


@pytest.mark.parametrize("delays", [[0, 1, 2], [0, 2, 1], [0, 1, 1], [0, 0, 0]])
def test_delays_are_applied_and_undone(delays: list[int], make: Make, written: Written) -> None:
    model = make(codebook_delays=delays)
    space = model.config.id_space
    ids, codes = written(space, "tts")
    found = say(model, ids, codes, ends=7, eos_token_id=space.eos_speech, do_sample=True, max_new_tokens=20)
    row, beside = found.sequences[0], found.codes[0]
    assert row[3:7].tolist() == [unit for unit in row[3:7].tolist() if space.speech_offset <= unit < space.eos_speech]
    assert row[7:].tolist() == [space.pad_speech] * space.tail + [space.eos_speech]
    check_layout(found.sequences, found.codes, space)
    (frames,) = frames_of(row, beside, space)
    assert frames.shape == (4, 3) and (frames >= 0).all()
    grid = torch.from_numpy(delayed(frames.numpy(), delays))
    assert torch.equal(grid[:, 1:], beside[3 : 7 + space.tail])


def test_the_end_takes_its_time_whatever_is_asked(three: SmolTolkForCausalLM, written: Written) -> None:
    space = three.config.id_space
    ids, codes = written(space, "tts3.")
    settings = {"top_k": 1, "temperature": 0.1, "do_sample": True, "eos_token_id": space.eos_speech}
    row = say(three, ids, codes, ends=6, **settings).sequences[0]
    assert row[6:].tolist() == [space.pad_speech] * 2 + [space.eos_speech]


def test_a_shortest_length_holds_for_the_first_codebook_too(three: SmolTolkForCausalLM, written: Written) -> None:
    space = three.config.id_space
    ids, codes = written(space, "tts")

    class Hurry(LogitsProcessor):
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            scores = scores.clone()
            scores[:, space.pad_speech] += 1e4
            return scores

    for shortest in ({"min_new_tokens": 7}, {"min_length": 10}):
        row = three.generate(
            ids, codes=codes, logits_processor=[Hurry()], max_new_tokens=20, eos_token_id=space.eos_speech,
            pad_token_id=0, do_sample=True, return_dict_in_generate=True, **shortest,
        )  # fmt: skip
        new = row.sequences[0, 3:].tolist()
        assert new[5:] == [space.pad_speech] * 2 + [space.eos_speech]
        assert all(space.speech_offset <= unit < space.eos_speech for unit in new[:5])


@pytest.mark.parametrize("prompt", ["tts2.", "ttts"])
def test_sampling_cached_equals_uncached(prompt: str, three: SmolTolkForCausalLM, written: Written) -> None:
    ids, codes = written(three.config.id_space, prompt, prompt)
    settings = {"do_sample": True, "temperature": 4.0, "top_k": 12, "num_return_sequences": 2}
    cached, uncached = (say(three, ids, codes, ends=8, use_cache=flag, **settings) for flag in (True, False))
    assert torch.equal(cached.sequences, uncached.sequences) and torch.equal(cached.codes, uncached.codes)
    assert cached.codes.shape == (4, len(cached.sequences[0]), 2)
    assert not torch.equal(cached.codes[0], cached.codes[1])
    check_layout(cached.sequences, cached.codes, three.config.id_space, ends=False)


def test_the_other_codebooks_are_drawn_as_the_ids_are(three: SmolTolkForCausalLM, written: Written) -> None:
    ids, codes = written(three.config.id_space, "tts2.")
    greedy = say(three, ids, codes)
    sharp = say(three, ids, codes, do_sample=True, top_k=1)
    assert torch.equal(greedy.codes, sharp.codes) and torch.equal(greedy.sequences, sharp.sequences)


def test_left_padded_rows(three: SmolTolkForCausalLM, written: Written) -> None:
    space = three.config.id_space
    rows = [written(space, row) for row in ("tttttt", "2.", "tts5stt", "ttts")]
    longest = max(ids.shape[1] for ids, _ in rows)
    for filler in (0, space.pad_speech):
        batch = torch.cat([torch.nn.functional.pad(ids, (longest - ids.shape[1], 0), value=filler) for ids, _ in rows])
        codes = torch.cat([torch.nn.functional.pad(c, (0, 0, longest - c.shape[1], 0), value=-1) for _, c in rows])
        lengths = torch.tensor([ids.shape[1] for ids, _ in rows])
        mask = (torch.arange(longest) >= longest - lengths[:, None]).long()
        found = say(three, batch, codes, attention_mask=mask)
        for number, (ids, others) in enumerate(rows):
            alone = say(three, ids, others)
            assert torch.equal(found.sequences[number, longest:], alone.sequences[0, ids.shape[1] :])
            assert torch.equal(found.codes[number, longest:], alone.codes[0, ids.shape[1] :])


@pytest.mark.parametrize("how", ["static", "made by the user", "chunks", "chunks, static"])
def test_other_caches(how: str, three: SmolTolkForCausalLM, written: Written) -> None:
    ids, codes = written(three.config.id_space, "ttts5stttts2.", "e5stttttttts1.")
    static = {"cache_implementation": "static", "disable_compile": True}
    settings: dict[str, Any] = {
        "static": static,
        "made by the user": {
            "past_key_values": StaticCache(config=three.config, max_cache_len=40),
            "disable_compile": True,
        },
        "chunks": {"prefill_chunk_size": 5},
        "chunks, static": static | {"prefill_chunk_size": 5},
    }[how]
    expected, found = say(three, ids, codes), say(three, ids, codes, **settings)
    assert torch.equal(found.sequences, expected.sequences) and torch.equal(found.codes, expected.codes)


def test_continues_from_the_cache_of_an_earlier_call(three: SmolTolkForCausalLM, written: Written) -> None:
    ids, codes = written(three.config.id_space, "ttts2.")
    first = say(three, ids, codes, max_new_tokens=4)
    expected = say(three, ids, codes, max_new_tokens=9)
    found = say(three, first.sequences, first.codes, max_new_tokens=5, past_key_values=first.past_key_values)
    assert torch.equal(found.sequences, expected.sequences) and torch.equal(found.codes, expected.codes)
    with pytest.raises(InputError, match="a cache is continued with the whole sequences"):
        say(three, ids, codes, past_key_values=first.past_key_values)


def test_units_that_are_known_ahead(three: SmolTolkForCausalLM) -> None:
    space = three.config.id_space
    frames = torch.randint(0, 20, (4, 3), generator=torch.Generator().manual_seed(5))
    grid = torch.from_numpy(delayed(frames.numpy(), space.delays))
    ids = torch.tensor([[5, 6, space.switch, *(grid[:4, 0] + space.speech_offset).tolist()]])
    codes = torch.cat([torch.full((1, 3, 2), -1), grid[None, :, 1:]], dim=1)  # two positions more than ids
    found = say(three, ids, codes, ends=10, eos_token_id=space.eos_speech)
    (said,) = frames_of(found.sequences[0], found.codes[0], space)
    assert len(said) == 7 and torch.equal(said[:4], frames)
    fewer = say(three, ids, codes[:, :7], ends=10, eos_token_id=space.eos_speech)
    (other,) = frames_of(fewer.sequences[0], fewer.codes[0], space)
    assert not torch.equal(other[:4], frames)


def test_beams_write_what_was_heard(three: SmolTolkForCausalLM, written: Written) -> None:
    space = three.config.id_space
    ids, codes = written(space, "tts4stt", "e5ssttt"[:2] + "sttt")
    found = say(three, ids, codes, num_beams=3, num_return_sequences=2)
    plain = say(three, ids, codes, num_beams=3, num_return_sequences=2, use_cache=False)
    assert torch.equal(found.sequences, plain.sequences)
    assert (found.sequences[:, ids.shape[1] :] < space.speech_offset).all()
    assert torch.equal(found.codes[:, : ids.shape[1]], codes.repeat_interleave(2, 0))
    assert (found.codes[:, ids.shape[1] :] == -1).all() and found.codes.shape == (*found.sequences.shape, 2)


def test_a_model_that_chooses_its_modality(make: Make, written: Written) -> None:
    model = make(predict_switch=True)
    space = model.config.id_space
    ids, codes = written(space, "tts3.")

    class Leave(LogitsProcessor):
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            scores = scores.clone()
            scores[:, space.pad_speech] += 1e3  # stop where it may
            scores[:, space.switch] += 1e4 if not (input_ids[0, 3:] == space.switch).any() else -1e5
            return scores

    row = model.generate(
        ids, codes=codes, logits_processor=[Leave()], max_new_tokens=6, pad_token_id=0, return_dict_in_generate=True
    )
    new = row.sequences[0, 6:]
    assert new[:3].tolist() == [space.pad_speech, space.pad_speech, space.switch]
    assert (new[3:] < space.speech_offset).all()
    assert len(frames_of(row.sequences[0], row.codes[0], space)[0]) == 3


def test_ids_alone_come_with_a_warning(
    three: SmolTolkForCausalLM, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("smoltolk.model.codec.generation._log.warning_once", said.append)
    for prompt, warned in (("tttt", 0), ("tts", 1)):
        ids, codes = written(three.config.id_space, prompt)
        found = three.generate(ids, codes=codes, max_new_tokens=3, pad_token_id=0, do_sample=False)
        assert found.shape[1] == ids.shape[1] + 3 and len(said) == warned
    assert "first of 3 codebooks alone" in said[0]


# ---------------------------------------------------------------------- mistakes


def test_a_prompt_that_ends_inside_the_delay(three: SmolTolkForCausalLM, written: Written) -> None:
    ids, codes = written(three.config.id_space, "tts3")
    with pytest.raises(InputError, match="a prompt that ends inside the delay, behind 1 of 2"):
        say(three, ids[:, :-1], codes[:, :-1])
    ids, codes = written(three.config.id_space, "tts3.stt")
    with pytest.raises(InputError, match="speech that ends inside the delay"):
        say(three, ids, codes)
    complete, others = written(three.config.id_space, "tts3")
    assert say(three, complete, others, max_new_tokens=1).sequences[0, -1] == three.config.id_space.eos_speech


def test_a_prompt_without_its_codebooks(three: SmolTolkForCausalLM, written: Written) -> None:
    ids, codes = written(three.config.id_space, "tts3.")
    with pytest.raises(InputError, match="first of 3 codebooks and needs the others"):
        say(three, ids, None)
    with pytest.raises(InputError, match="codes are integers"):
        say(three, ids, codes[:, :-1])
    late = torch.cat([codes, torch.full((1, 1, 2), 20)], dim=1)
    with pytest.raises(InputError, match=r"codes are units 0\.\.19"):
        say(three, ids, late)


def test_beams_cannot_speak(three: SmolTolkForCausalLM, written: Written) -> None:
    ids, codes = written(three.config.id_space, "tts")
    with pytest.raises(InputError, match="speak with num_beams=1"):
        say(three, ids, codes, num_beams=2)


def test_candidates_cannot_be_looked_up(three: SmolTolkForCausalLM, written: Written) -> None:
    ids, codes = written(three.config.id_space, "tttt")
    with pytest.raises(InputError, match="ids are generated one by one"):
        say(three, ids, codes, prompt_lookup_num_tokens=3)


def test_speech_that_is_left_inside_the_delay(three: SmolTolkForCausalLM, written: Written) -> None:
    ids, codes = written(three.config.id_space, "tts3.")

    class Leave(LogitsProcessor):
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            return torch.full_like(scores, -1.0).index_fill(1, torch.tensor([three.config.switch_id]), 1.0)

    with pytest.raises(InputError, match="leaves it inside the delay"):
        three.generate(ids, codes=codes, logits_processor=[Leave()], max_new_tokens=3, pad_token_id=0)


def test_codes_for_one_codebook(make_model: Make) -> None:
    model = make_model()
    with pytest.raises(InputError, match="leave codes out"):
        model.generate(torch.tensor([[3, 4]]), codes=torch.zeros(1, 2, 1).long(), max_new_tokens=1)


def test_settings_of_the_space() -> None:
    space = IdSpace(
        speech_offset=64, num_units=20, begin_prompt=61, end_prompt=62, switch=63, eos_text=1, delays=(0, 3, 1)
    )
    assert (space.num_codebooks, space.tail, space.size) == (3, 3, 86)
    for delays in ((), (1, 2), (0, -1)):
        with pytest.raises(InputError, match="the first codebook leads"):
            IdSpace(
                speech_offset=64, num_units=20, begin_prompt=61, end_prompt=62, switch=63, eos_text=1, delays=delays
            )
