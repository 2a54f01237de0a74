"""A vocoder from a corpus: whose voices it learns, what is measured, where it keeps its place."""

from dataclasses import replace
from pathlib import Path

import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.corpora.speak import speak
from smoltolk.data.fitting.speech_models import judge_vocoder, split_held_out, waveform_of
from smoltolk.data.fitting.vocoder_models import DEFAULT_STEPS, Choice, fit_corpus_vocoder, speakers_of
from smoltolk.speech.recognition.recognisers import error_rate, recogniser_named, transcribe_all
from smoltolk.speech.synthesis.espeak_synthesis import voices
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.units.tokenizer import UnitTokenizer
from smoltolk.speech.vocoders.hifigan import HifiGanVocoder
from smoltolk.speech.vocoders.hifigan_config import hifigan_config


@pytest.fixture
def tokenizer(phone_units_dir: Path) -> UnitTokenizer:
    return load_unit_tokenizer(phone_units_dir)


def test_a_vocoder_learns_one_voice_and_is_judged(spoken_corpus: Path, tokenizer: UnitTokenizer) -> None:
    pytest.importorskip("pocketsphinx")
    seconds, warnings = speakers_of(spoken_corpus), []
    fitted = fit_corpus_vocoder(spoken_corpus, tokenizer, Choice(steps=1, most=10), warn=warnings.append)
    assert fitted.speakers == (next(iter(seconds)),) and fitted.num_utterances == 1 and fitted.seconds > 1
    assert list(fitted.errors) == ["natural", "copy", "units_true", "units"]
    assert len(warnings) == 1 and "1 utterances are few" in warnings[0]
    other = list(seconds)[-1]
    chosen = fit_corpus_vocoder(spoken_corpus, tokenizer, Choice(speaker=other, steps=1), judge=None)
    assert chosen.speakers == (other,) and chosen.errors == {}


def test_units_come_from_shards_too(
    spoken_corpus: Path, shards_dir: Path, tokenizer: UnitTokenizer, tmp_path: Path
) -> None:
    choice, warnings = Choice("hifigan", "all", steps=1, size="tiny"), []
    anew = fit_corpus_vocoder(spoken_corpus, tokenizer, choice, judge=None)
    prepared = fit_corpus_vocoder(spoken_corpus, tokenizer, choice, shards=shards_dir, judge=None)
    assert prepared.vocoder.fingerprint == anew.vocoder.fingerprint
    one_of_three = fit_corpus_vocoder(
        spoken_corpus, tokenizer, choice, shards=shards_dir / "part-00000.parquet", judge=None, warn=warnings.append
    )
    assert one_of_three.num_utterances < anew.num_utterances
    assert f"{one_of_three.num_utterances} utterances are few" in warnings[0]
    other = tmp_path / "corpus"
    texts = [(f"elsewhere-{number}", "A dog.", voices(1, 0, "seen")[0]) for number in range(2)]
    speak(texts, other, source="others", workers=0)
    with pytest.raises(InputError, match="must be of the corpus"):
        fit_corpus_vocoder(other, tokenizer, Choice(steps=1), shards=shards_dir, judge=None)


def test_a_hifigan_learns_all_voices(spoken_corpus: Path, tokenizer: UnitTokenizer, tmp_path: Path) -> None:
    choice = Choice("hifigan", "all", steps=1, size="tiny", precision="fp32")
    fitted = fit_corpus_vocoder(spoken_corpus, tokenizer, choice, judge=None, work=tmp_path / "work")
    assert set(fitted.speakers) == set(speakers_of(spoken_corpus)) and fitted.num_utterances == 7
    assert (tmp_path / "work" / "checkpoint-00000001").is_dir()
    fitted.vocoder.save(tmp_path / "vocoder")
    further = Choice("hifigan", "all", steps=1, size="tiny", start=tmp_path / "vocoder")
    again = fit_corpus_vocoder(spoken_corpus, tokenizer, further, judge=None)
    assert again.speakers == fitted.speakers and again.vocoder.fingerprint != fitted.vocoder.fingerprint
    assert len(list((tmp_path / "work" / "samples").rglob("*.wav"))) == 4


def test_another_judge_listens(spoken_corpus: Path, tokenizer: UnitTokenizer, ctc_dir: Path) -> None:
    choice = Choice("hifigan", "all", steps=1, size="tiny")
    fitted = fit_corpus_vocoder(spoken_corpus, tokenizer, choice, judge=str(ctc_dir))
    held_out, _ = split_held_out(list(read_corpus(spoken_corpus)), choice.most, choice.seed)
    heard = transcribe_all([waveform_of(one) for one in held_out], [], judge=str(ctc_dir))
    assert fitted.errors["natural"] == error_rate([one.text for one in held_out], heard)
    with pytest.raises(NotFoundError, match="no directory"):
        fit_corpus_vocoder(spoken_corpus, tokenizer, Choice(steps=10**9), judge="./nobody")


def test_without_predicted_durations_true_ones_are_judged(
    spoken_corpus: Path, tokenizer: UnitTokenizer, ctc_dir: Path
) -> None:
    config = replace(hifigan_config(tokenizer, "tiny", 1), dur_predictor_params=None)
    vocoder, judge = HifiGanVocoder(config, tokenizer.fingerprint), recogniser_named(str(ctc_dir))
    errors = judge_vocoder(vocoder, tokenizer, list(read_corpus(spoken_corpus))[:1], [], judge=judge)
    assert list(errors) == ["natural", "copy", "units_true"]


def test_each_is_judged_in_its_own_voice(
    spoken_corpus: Path, tokenizer: UnitTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smoltolk.data.fitting import vocoder_models

    asked = []

    def listen(vocoder: object, encoded: list, texts: object, *, judge: object) -> dict[str, object]:
        asked.extend(zip([one.utterance for one in encoded], vocoder._speakers, strict=True))
        return {}

    monkeypatch.setattr(vocoder_models, "judge_encoded", listen)
    fit_corpus_vocoder(spoken_corpus, tokenizer, Choice("hifigan", "all", steps=1, size="tiny"))
    assert asked and all(speaker == utterance.speaker for utterance, speaker in asked)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(speaker="nobody"), "0 of 'nobody'"),
        (Choice(speaker="all"), "tells them apart"),
        (Choice("vocos", "all"), "tells them apart"),
        (Choice("wavenet"), "'wavenet'"),
        (Choice("vocos", start=Path("other")), "can begin with another"),
        (Choice(most=0), "an utterance at least"),
    ],
)
def test_choices_that_contradict_themselves_are_refused(
    choice: Choice, message: str, spoken_corpus: Path, tokenizer: UnitTokenizer
) -> None:
    with pytest.raises(InputError, match=message):
        fit_corpus_vocoder(spoken_corpus, tokenizer, choice)


def test_kinds_have_their_steps() -> None:
    assert [Choice(kind).num_steps for kind in DEFAULT_STEPS] == list(DEFAULT_STEPS.values())
    assert Choice("vocos", steps=7).num_steps == 7
