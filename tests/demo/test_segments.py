from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile

from smoltolk.common.errors import InputError
from smoltolk.data.rows.turns import Turn, answer_prompt
from smoltolk.demo.segments import Said, asked_of, columns_of, document_of, listen, starts_of
from smoltolk.inference.bundle import BundleSettings
from smoltolk.inference.speech_text import SpeechText


def test_units_tile_the_recording(talker: SpeechText, recording: tuple[Path, str]) -> None:
    said = listen(talker, recording[0], 60)
    columns = columns_of(talker, document_of(talker, [said]), [said])
    assert [int(column.label) for column in columns] == said.units.tolist()
    assert all(a.stop == b.start for a, b in itertools.pairwise(columns))
    assert columns[-1].stop == pytest.approx(len(said.waveform) / said.rate, abs=0.05)


def test_columns_name_the_ids_of_the_document(talker: SpeechText, recording: tuple[Path, str]) -> None:
    said = listen(talker, recording[0], 60)
    answer = Said(np.array([3, 1, 4]), np.array([0.1, 0.2, 0.3]), np.zeros(9600, np.float32), 16000, is_answer=True)
    segments = ["A fox. ", said, answer]
    document = document_of(talker, segments)
    columns = columns_of(talker, document, segments)
    assert "".join(column.label for column in columns if not column.speech) == "A fox. "
    for column in columns:
        number = document.input_ids[column.position]
        shown = number - talker.space.speech_offset if column.speech else talker.tokenizer.encode(column.label)[0]
        assert shown == (int(column.label) if column.speech else number)
    assert (document.input_ids == talker.space.switch).sum() == 1  # speech goes on without another switch
    starts = starts_of(segments, columns)
    assert starts[0] == 0 and starts[1] == columns[7].start
    assert columns[-1].stop - starts[2] == pytest.approx(0.6)


@pytest.mark.parametrize("seconds", [1.0, 2.5])
def test_no_more_of_a_recording_is_held_than_is_taken(talker: SpeechText, tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "hours.flac"
    soundfile.write(path, np.zeros(16000 * 600, np.int16), 16000)  # a small file
    with pytest.raises(InputError, match=rf"{seconds:g} s at most\n.*hours\.flac is longer"):
        listen(talker, path, seconds)


def test_what_is_no_sound_is_refused(talker: SpeechText, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF....WAVE")
    with pytest.raises(InputError):
        listen(talker, tmp_path / "a.wav", 30)


def test_a_tuned_model_is_asked_as_it_was_tuned(
    talker: SpeechText, recording: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = listen(talker, recording[0], 60)
    answer = Said(np.array([3, 1]), np.array([0.1, 0.1]), np.zeros(10, np.float32), 100, is_answer=True)
    monkeypatch.setattr(talker, "settings", BundleSettings(tuned=True))
    space, words = talker.space, talker.processor.segment("Who?")
    question = [Turn(False, (words, (True, heard.units)))]
    prompt = answer_prompt(space, question, in_speech=True).input_ids
    asked = asked_of(talker, ["Who?", heard], in_speech=True)
    np.testing.assert_array_equal(asked.input_ids, prompt)
    document = document_of(talker, ["Who?", heard, answer])
    np.testing.assert_array_equal(document.input_ids, [*prompt, space.speech_offset + 3, space.speech_offset + 1])
    columns = columns_of(talker, document, ["Who?", heard, answer])
    assert [one.label for one in columns[-2:]] == ["3", "1"]
    assert sum(one.speech for one in columns) == len(heard.units) + 2
