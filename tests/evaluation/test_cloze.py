from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.data.shards.parquet import ShardMetadata, ShardWriter, UnitUtterance, read_shards
from smoltolk.data.world.stories import World
from smoltolk.evaluation.cloze import (
    differences,
    evaluate_clozes,
    find_rivals,
    load_log,
    option_sequences,
    option_texts,
    spoken_clozes,
)
from smoltolk.evaluation.results import DIRECTIONS
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.scoring import score
from smoltolk.model.ids import IdSpace
from smoltolk.speech.segments import Segment

FRAME_RATE, FRAMES_PER_WORD = 25.0, 10
METADATA = ShardMetadata(frame_rate=FRAME_RATE, fingerprint="abc", num_units=12)


def made_utterance(name: str, text: str) -> UnitUtterance:
    """Two units a word of five frames each: 0 and 1 in right options, 2 and 3 in wrong ones."""
    spoken = text.split()
    base = 0 if name.endswith("-right") else 2
    starts = np.arange(len(spoken)) * FRAMES_PER_WORD / FRAME_RATE
    return UnitUtterance(
        id=name,
        text=text,
        words=tuple(
            Segment(word, float(start), float(start + FRAMES_PER_WORD / FRAME_RATE))
            for word, start in zip(spoken, starts, strict=True)
        ),
        units=np.tile([base, base + 1], len(spoken)).astype(np.uint16),
        durations=np.full(2 * len(spoken), FRAMES_PER_WORD // 2, np.uint16),
        speaker="a",
        language="en",
        source="test",
        seconds=len(spoken) * FRAMES_PER_WORD / FRAME_RATE,
    )


@pytest.fixture(scope="module")
def clozes():
    world = World(seed=0, num_people=12)
    return world.story_clozes(12) + world.fact_clozes(12, heard=True) + world.fact_clozes(12, heard=False)


@pytest.fixture(scope="module")
def corpus(clozes, tmp_path_factory):
    path = tmp_path_factory.mktemp("cloze") / "part.parquet"
    with ShardWriter(path, METADATA) as writer:
        for name, text in option_texts(clozes):
            writer.add(made_utterance(name, text))
    return read_shards(path)


@pytest.fixture(scope="module")
def items(clozes, corpus, tokenizer):
    return spoken_clozes(clozes, corpus, tokenizer)


@pytest.fixture(scope="module")
def space(tokenizer):
    size = len(tokenizer)
    return IdSpace(
        speech_offset=size + 4,
        num_units=12,
        begin_prompt=size,
        end_prompt=size + 1,
        switch=size + 2,
        eos_text=0,
    )


def test_cut_lies_at_the_option(items, clozes, tokenizer):
    for item, cloze in zip(items, clozes, strict=True):
        prompt = " ".join(cloze.prompt)
        assert tokenizer.decode(item.prompt_tokens) == prompt
        assert tokenizer.decode(item.right_tokens) == " " + cloze.right
        assert tokenizer.decode(item.wrong_tokens) == " " + cloze.wrong
        assert len(item.prompt_units) == 2 * len(prompt.split())
        assert len(item.wrong_units) == 2 * len(cloze.wrong.split())
        assert item.prompt_seconds == pytest.approx(0.4 * len(prompt.split()))


def test_both_options_follow_the_prompt_of_the_right_recording(items, space):
    item, offset = items[0], space.speech_offset
    right, wrong = option_sequences(item, "S->S", space)
    assert right.start == wrong.start == 1 + len(item.prompt_units)
    assert right.ids[0] == space.eos_speech
    np.testing.assert_array_equal(right.ids[: right.start], wrong.ids[: wrong.start])
    assert set(right.ids[1:] - offset) == {0, 1}
    assert set(wrong.ids[wrong.start :] - offset) == {2, 3}


def test_rivals_are_found_by_mirror_images(clozes):
    rivals = find_rivals(clozes)
    assert all(rival != cloze.fact for rival, cloze in zip(rivals, clozes, strict=True))
    assert rivals[0::2] == [cloze.fact for cloze in clozes[1::2]]
    assert find_rivals(clozes[:3]) == [*rivals[:2], clozes[2].fact]
    assert find_rivals(clozes[1:4]) == [clozes[1].fact, *rivals[2:4]]


def test_four_directions(items, space):
    item = items[0]
    units = space.speech_offset + item.right_units.astype(np.int64)
    spoken = [space.eos_speech, *(space.speech_offset + item.prompt_units.astype(np.int64))]
    written = [space.eos_text, *item.prompt_tokens]
    expected = {
        "S->S": [*spoken, *units],
        "T->T": [*written, *item.right_tokens],
        "S->T": [*spoken, space.switch, *item.right_tokens],
        "T->S": [*written, space.switch, *units],
    }
    for way, ids in expected.items():
        option = option_sequences(item, way, space)[0]
        assert list(option.ids) == ids
        assert len(option.ids) - option.start == len(units if way.endswith("S") else item.right_tokens)
        ended = option_sequences(item, way, space, end=True)[0]
        assert ended.ids[-1] == (space.eos_speech if way.endswith("S") else space.eos_text)


def test_model_that_likes_the_right_units(double, items, space, tmp_path):
    """Units 0 and 1 are likely: right when it speaks, and a coin thrown for each question when it writes."""
    table = torch.zeros(space.size, space.size)
    table[:, space.speech_offset : space.speech_offset + 2] = 3.0
    result = evaluate_clozes(double(space, table), items, space, seed=0, log_path=tmp_path / "log.jsonl")
    assert set(result.cells) == {"story", "fact_heard", "fact_read"}
    for ways in result.cells.values():
        assert tuple(ways) == DIRECTIONS
        for way in ("S->S", "T->S"):
            assert ways[way] == {"accuracy": 1.0, "low": 1.0, "high": 1.0, "n": 12}
        for way in ("T->T", "S->T"):  # all tokens alike, mean NLL: every question a tie
            assert ways[way]["accuracy"] == 0.5
    again = load_log(tmp_path / "log.jsonl", seed=0)
    assert again.cells == result.cells
    assert len(again.items) == 4 * len(items)


def test_sum_prefers_the_shorter_option_and_ties_can_be_wrong(double, items, space):
    uniform = double(space, torch.zeros(space.size, space.size))
    summed = evaluate_clozes(uniform, items, space, seed=0, rule=Rule(normalisation="sum"))
    rows = summed.cell("fact_read", "T->T")
    by_name = {item.id: item for item in items}
    lengths = [[len(t) for t in (by_name[r["id"]].right_tokens, by_name[r["id"]].wrong_tokens)] for r in rows]
    assert [row["points"] for row in rows] == [0.5 if r == w else float(r < w) for r, w in lengths]
    strict = evaluate_clozes(uniform, items, space, seed=0, rule=Rule(ties="wrong"))
    assert strict.cells["story"]["S->S"]["accuracy"] == 0


def test_real_model_one_by_one_and_together(model, items):
    """Scores of a real model do not depend on padding; each equals what its own logits say."""
    ids = model.config.id_space
    pairs = [option for item in items[::9] for way in DIRECTIONS for option in option_sequences(item, way, ids)]
    together = score(model, pairs, space=ids, batch_tokens=2000)
    for index, option in enumerate(pairs):
        alone = score(model, [option], space=ids)
        assert together.nll[index] == pytest.approx(alone.nll[0], rel=1e-4)
    option = pairs[2]
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(option.ids)[None]).logits[0].double().log_softmax(-1)
    expected = -sum(float(logits[t - 1, option.ids[t]]) for t in range(option.start, len(option.ids)))
    assert together.nll[2] == pytest.approx(expected, rel=1e-4)


def test_a_prompt_is_computed_once_for_both_options(model, items):
    """Without asking; options stand beside each other, and what is before them is heard from one recording."""
    ids, positions = model.config.id_space, []

    def count(module, args, kwargs):
        positions.append(kwargs["inputs_embeds"].shape[:2].numel())

    handle = model.backbone.base_model.register_forward_pre_hook(count, with_kwargs=True)
    try:
        for way in DIRECTIONS:
            options = [option for item in items for option in option_sequences(item, way, ids)]
            spared = sum(option.start - 1 for option in options[::2])
            positions.clear()
            result = evaluate_clozes(model, items, ids, seed=0, directions=[way])
            read = positions.copy()
            positions.clear()
            score(model, options, space=ids, rule=Rule(scope="whole"))
            assert sum(read) < sum(positions) - 0.5 * spared  # the rest is more padding, and prompts that are longer
            whole = score(model, options[:2], space=ids)
            row = result.items[0]
            assert [row["nll_right"], row["nll_wrong"]] == pytest.approx(whole.nll.tolist(), rel=1e-5)
    finally:
        handle.remove()


def test_differences_are_paired(double, items, space):
    table = torch.zeros(space.size, space.size)
    uniform = evaluate_clozes(double(space, table), items, space, seed=0)
    table = table.clone()
    table[:, space.speech_offset : space.speech_offset + 2] = 3.0
    knowing = evaluate_clozes(double(space, table), items, space, seed=0)
    table = differences(knowing, uniform, seed=0)
    assert table["fact_read"]["S->S"] == {"difference": 0.5, "low": 0.5, "high": 0.5, "n": 12}
    assert table["fact_read"]["T->T"]["difference"] == 0
    fewer = evaluate_clozes(double(space, torch.zeros(space.size, space.size)), items[:30], space, seed=0)
    with pytest.raises(InputError, match="same questions"):
        differences(knowing, fewer, seed=0)


def test_missing_or_other_utterance(clozes, corpus, tokenizer):
    with pytest.raises(InputError, match="no such utterance"):
        spoken_clozes([replace(clozes[0], id="story-99999")], corpus, tokenizer)
    with pytest.raises(InputError, match="must say"):
        spoken_clozes([replace(clozes[0], right="Nobody said this.")], corpus, tokenizer)


def test_frames_of_a_codec_are_cut_at_the_option(clozes, tokenizer, tmp_path):
    """Two codebooks, a frame each 40 ms; the second one says the number of the frame."""
    with ShardWriter(tmp_path / "frames.parquet", replace(METADATA, num_codebooks=2, num_units=400)) as writer:
        for name, text in option_texts(clozes[:2]):
            plain = made_utterance(name, text)
            first = np.repeat(plain.units, FRAMES_PER_WORD // 2)
            frames = np.stack([first, np.arange(len(first))], axis=1).astype(np.uint16)
            writer.add(replace(plain, units=frames, durations=np.ones(len(frames), np.uint16)))
    for item, cloze in zip(spoken_clozes(clozes[:2], read_shards(tmp_path), tokenizer), clozes[:2], strict=True):
        cut = FRAMES_PER_WORD * len(" ".join(cloze.prompt).split())
        assert item.prompt_units.shape == (cut, 2) and item.prompt_seconds == pytest.approx(cut / FRAME_RATE)
        for units, option in ((item.right_units, cloze.right), (item.wrong_units, cloze.wrong)):
            assert units[:, 1].tolist() == list(range(cut, cut + FRAMES_PER_WORD * len(option.split())))
