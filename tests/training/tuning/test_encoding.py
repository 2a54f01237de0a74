"""Dialogues as ids: recordings once, and what cannot be used by its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from smoltolk.common.rejection import Rejected
from smoltolk.data.rows.turns import Turn, turn_document
from smoltolk.model.ids import IGNORE, IdSpace
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.training.tuning.dialogues import Dialogue
from smoltolk.training.tuning.encoding import Recordings, answer_labels, encode_dialogues
from smoltolk.training.tuning.messages import Message

SPACE = IdSpace(speech_offset=323, num_units=50, begin_prompt=320, end_prompt=321, switch=322, eos_text=0)


def test_units_of_recordings(phone_units_dir: Path, recordings: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    tokenizer, rejected = load_unit_tokenizer(phone_units_dir), list[Rejected]()
    made = Recordings(tokenizer, tmp_path / "units")
    found = made.units_of([*recordings, tmp_path / "bad.wav", tmp_path / "none.wav", recordings[0]], rejected)
    assert set(found) == set(recordings) and made.num_made == len(recordings)
    assert {Path(one.id).name for one in rejected} == {"bad.wav", "none.wav"}
    again = Recordings(tokenizer, tmp_path / "units")
    kept = again.units_of(recordings, rejected)
    assert again.num_made == 0 and all(np.array_equal(kept[path], found[path]) for path in recordings)


def test_documents(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    sound = Path("a.wav")
    units = {sound: np.array([4, 2])}
    question, answer = Message(False, (sound, "b")), Message(True, ("ab", sound))
    rejected: list[Rejected] = []
    dialogues = [
        Dialogue("1", (question, answer), (question, Message(True, ("b",)))),
        Dialogue("2", (Message(False, (Path("none.wav"),)), answer)),
        Dialogue("3", (Message(False, ("a" * 100,)), answer)),
    ]
    (one,) = encode_dialogues(dialogues, SPACE, byte_tokenizer, units, rejected, longest=30)
    a, b = byte_tokenizer("ab")["input_ids"]
    heard, asked = (True, units[sound]), Turn(False, ((True, units[sound]), (False, np.array([b]))))
    expected = turn_document(SPACE, [asked, Turn(True, ((False, np.array([a, b])), heard))])
    assert one.chosen.input_ids.tolist() == expected.input_ids.tolist()
    assert one.rejected is not None and len(one) == len(one.chosen) > len(one.rejected)
    assert [(bad.id, bad.reason.split("\n")[0]) for bad in rejected] == [
        ("2", "a recording has units"),
        ("3", "a dialogue fits into a row"),
    ]


def test_the_last_answer_alone(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    ask, say = Message(False, ("a",)), Message(True, ("b",))
    (one,) = encode_dialogues([Dialogue("1", (ask, say, ask, say))], SPACE, byte_tokenizer, {}, [], longest=30)
    labels = answer_labels(one.chosen)
    assert (one.chosen.labels != IGNORE).sum() == 4 and (labels != IGNORE).sum() == 2
    assert (labels[: one.chosen.asked] == IGNORE).all()
