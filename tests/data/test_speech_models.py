"""Units and a vocoder from a corpus: who they learn from, and what is measured."""

import math
from pathlib import Path

import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.corpora import read_corpus
from smoltolk.data.recordings import collect
from smoltolk.data.speech_models import fit_corpus_vocoder, fit_units, speakers_of
from smoltolk.speech.units import load_unit_tokenizer


def test_units_learn_from_some_and_are_measured_on_others(spoken_corpus: Path) -> None:
    fitted = fit_units(spoken_corpus, steps=2, most=5)
    assert fitted.num_utterances == 5
    assert 0 < fitted.quality.purity <= 1 and fitted.quality.num_seconds > 1
    assert math.isnan(fitted.quality.cross_voice_seen)
    assert fit_units(spoken_corpus, steps=2, most=5).tokenizer.fingerprint == fitted.tokenizer.fingerprint
    assert fit_units(spoken_corpus, steps=2, most=5, seed=1).tokenizer.fingerprint != fitted.tokenizer.fingerprint


def test_a_vocoder_learns_one_voice_and_is_judged(spoken_corpus: Path, phone_units_dir: Path) -> None:
    pytest.importorskip("pocketsphinx")
    tokenizer = load_unit_tokenizer(phone_units_dir)
    seconds = speakers_of(spoken_corpus)
    fitted = fit_corpus_vocoder(spoken_corpus, tokenizer, steps=1, most=10)
    assert fitted.speaker == next(iter(seconds)) and fitted.num_utterances == 1
    assert set(fitted.errors) == {"natural", "copy", "units"}
    other = list(seconds)[-1]
    chosen = fit_corpus_vocoder(spoken_corpus, tokenizer, speaker=other, steps=1, most=10, judge=False)
    assert chosen.speaker == other and chosen.errors == {}
    with pytest.raises(InputError, match="0 of 'nobody'"):
        fit_corpus_vocoder(spoken_corpus, tokenizer, speaker="nobody", steps=1, most=10)


def test_units_need_phones(spoken_corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for utterance in list(read_corpus(spoken_corpus))[:2]:
        assert utterance.audio is not None
        (folder / utterance.audio.name).symlink_to(utterance.audio)
        (folder / f"{utterance.id}.txt").write_text(utterance.text)
    collect(folder, tmp_path / "corpus", aligner=None, workers=0)
    with pytest.raises(InputError, match="whose phones are known"):
        fit_units(tmp_path / "corpus", steps=1, most=5)
    with pytest.raises(InputError, match="an utterance at least"):
        fit_units(spoken_corpus, steps=1, most=0)
