"""Turns on the wire are laid out as those that a model was tuned on, and as `talk` lays them out."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.inference.bundle import BundleSettings
from smoltolk.inference.dialogue import Dialogue, Turn
from smoltolk.inference.speech_text import SpeechText
from smoltolk.serving.turns import WireTurn, prompt_of_turns
from smoltolk.training.tuning.dialogues import read_dialogues
from smoltolk.training.tuning.encoding import encode_dialogues

MESSAGES = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Who is it?"},
    {"role": "assistant", "content": "Mia."},
    {"role": "user", "content": "And what has she?"},
]


@pytest.fixture(scope="module")
def talker(bundle_dir):
    return SpeechText.from_pretrained(bundle_dir, device="cpu")


def engine_of(talker, *, tuned, positions=512):
    """What laying out needs of an engine."""
    return SimpleNamespace(
        processor=talker.processor, space=talker.space, settings=BundleSettings(tuned=tuned),
        config=SimpleNamespace(max_position_embeddings=positions),
    )  # fmt: skip


def laid_out(engine, messages, *, most=10, in_speech=False):
    turns = [WireTurn(one["role"], [one["content"]]) for one in messages]
    ids, dropped = prompt_of_turns(engine, turns, in_speech=in_speech, most=most)
    return ids.tolist(), dropped


def test_a_tuned_model_gets_what_it_was_tuned_on(talker, tmp_path):
    """The ids before the last answer of a row of `tune`, read from its file, are the prompt of the same messages."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"messages": [*MESSAGES, {"role": "assistant", "content": "A dog."}]}))
    dialogues = read_dialogues(rows, [])
    (encoded,) = encode_dialogues(dialogues, talker.space, talker.tokenizer, {}, [], longest=500)
    before = encoded.chosen.input_ids[: encoded.chosen.asked].tolist()
    assert laid_out(engine_of(talker, tuned=True), MESSAGES) == (before, 0)
    spoken, _ = laid_out(engine_of(talker, tuned=True), MESSAGES, in_speech=True)
    assert spoken == [*before, talker.space.switch]


@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize("to", ["text", "speech"])
def test_the_prompt_is_that_of_a_dialogue(talker, tuned, to, monkeypatch):
    monkeypatch.setattr(talker, "settings", BundleSettings(tuned=tuned))
    dialogue = Dialogue(talker, to)
    before = [Turn(["Who is it?"], "Mia."), Turn([np.array([3, 1, 4])], np.array([2, 7]))]
    whole = dialogue._whole(before, ["And", np.array([5]), "then?"], to)
    wanted = whole if tuned else talker.processor.document(whole, continue_in=to)
    turns = [
        WireTurn("user", ["Who is it?"]), WireTurn("assistant", ["Mia."]), WireTurn("user", [np.array([3, 1, 4])]),
        WireTurn("assistant", [np.array([2, 7])]), WireTurn("user", ["And", np.array([5]), "then?"]),
    ]  # fmt: skip
    ids, _ = prompt_of_turns(engine_of(talker, tuned=tuned), turns, in_speech=to == "speech", most=10)
    np.testing.assert_array_equal(ids, wanted.input_ids)


@pytest.mark.parametrize("tuned", [False, True])
def test_the_oldest_questions_go_with_their_answers_and_what_the_system_says_stays(talker, tuned):
    turns = [
        part
        for number in range(30)
        for part in ({"role": "user", "content": f"Number {number}?"}, {"role": "assistant", "content": f"{number}."})
    ]
    messages = [MESSAGES[0], *turns, MESSAGES[-1]]
    engine = engine_of(talker, tuned=tuned, positions=100)
    ids, dropped = laid_out(engine, messages)
    kept = [MESSAGES[0], *messages[1 + dropped :]]
    assert dropped > 0 and dropped % 2 == 0
    assert ids == laid_out(engine_of(talker, tuned=tuned), kept)[0] and len(ids) + 10 <= 100
    # With one question more it would not fit.
    more = [MESSAGES[0], *messages[1 + dropped - 2 :]]
    assert len(laid_out(engine_of(talker, tuned=tuned, positions=None), more)[0]) + 10 > 100
    # The last question stays, whatever room is left.
    ids, dropped = laid_out(engine_of(talker, tuned=tuned, positions=5), messages)
    assert dropped == 60 and ids == laid_out(engine_of(talker, tuned=tuned), [MESSAGES[0], MESSAGES[-1]])[0]


def test_a_tuned_model_answers_questions(talker):
    with pytest.raises(InputError, match="an answer follows a question"):
        laid_out(engine_of(talker, tuned=True), MESSAGES[:3])
    assert laid_out(engine_of(talker, tuned=False), MESSAGES[:3])[1] == 0  # another one goes on
    with pytest.raises(InputError, match="a word or a recording"):
        laid_out(engine_of(talker, tuned=True), [])
