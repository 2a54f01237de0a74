"""A vocoder from a corpus: whom it learns from, and what is measured."""

from pathlib import Path

import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.speech_models import fit_corpus_vocoder, speakers_of
from smoltolk.speech.units import load_unit_tokenizer


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
