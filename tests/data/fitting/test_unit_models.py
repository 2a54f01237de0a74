"""Units from a corpus: what they learn from, and what is measured."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import HubertConfig, HubertModel

from smoltolk.common.errors import InputError
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.corpora.recordings import collect
from smoltolk.data.corpora.utterances import Utterance
from smoltolk.data.fitting.unit_models import UnitFit, draw_frames, fit_units, parallel_sentences
from smoltolk.data.shards.parquet import read_shards
from smoltolk.data.shards.prepare import prepare
from smoltolk.speech.units.mfcc import MfccEncoder

FEW = UnitFit(steps=2, kmeans_steps=5, most=5)


def hubert(directory: Path) -> str:
    """A tiny encoder of 25 Hz with random weights."""
    conv = {"conv_dim": (8,) * 8, "conv_kernel": (10, 3, 3, 3, 3, 2, 2, 2), "conv_stride": (5, 2, 2, 2, 2, 2, 2, 2)}
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    HubertModel(HubertConfig(**conv, **size)).save_pretrained(directory)
    return str(directory)


def test_phone_units_learn_from_some_and_are_measured_on_others(spoken_corpus: Path) -> None:
    fitted = fit_units(spoken_corpus, FEW)
    assert fitted.num_utterances == 5 and fitted.num_frames == 0
    assert 0 < fitted.quality.purity <= 1 and fitted.quality.num_seconds > 1
    assert math.isnan(fitted.quality.cross_voice_seen)
    assert fit_units(spoken_corpus, FEW).tokenizer.fingerprint == fitted.tokenizer.fingerprint
    assert fit_units(spoken_corpus, replace(FEW, seed=1)).tokenizer.fingerprint != fitted.tokenizer.fingerprint


def test_codebooks_of_every_encoder_are_fitted_and_prepare_shards(spoken_corpus: Path, tmp_path: Path) -> None:
    encoders = {"phones": None, "mfcc": None, hubert(tmp_path / "hubert"): 1}
    for number, (encoder, layer) in enumerate(encoders.items()):
        fit = replace(FEW, encoder=encoder, layer=layer, clusters=15)
        fitted = fit_units(spoken_corpus, fit)
        assert fitted.tokenizer.num_units == 15 and fitted.num_frames > 500
        assert 0 < fitted.quality.pnmi < 1 and fitted.quality.units_per_second > 1
        assert fit_units(spoken_corpus, fit).tokenizer.fingerprint == fitted.tokenizer.fingerprint
        fitted.tokenizer.save(tmp_path / f"units-{number}")
        counts = prepare(spoken_corpus, tmp_path / f"units-{number}", tmp_path / f"shards-{number}", workers=0)
        assert counts.num_utterances == 8 and not counts.num_rejected
        shards = read_shards(tmp_path / f"shards-{number}", fingerprint=fitted.tokenizer.fingerprint)
        assert shards.metadata.num_units == 15


def test_frames_are_drawn_from_every_utterance(spoken_corpus: Path) -> None:
    utterances = [one for one in read_corpus(spoken_corpus)]
    encoder = MfccEncoder()
    every = draw_frames(utterances, encoder, 10**6, seed=0)
    seconds = sum(one.seconds for one in utterances)
    assert abs(len(every) - 25 * seconds) < 2 * len(utterances)
    some = draw_frames(utterances, encoder, 300, seed=0)
    assert 240 < len(some) <= 300 and not np.array_equal(some, draw_frames(utterances, encoder, 300, seed=1))
    # An utterance's draw does not depend on which others there are.
    rows = {row.tobytes() for row in every}
    assert all(row.tobytes() in rows for row in some)


def _said(text: str, speaker: str, number: int) -> Utterance:
    return Utterance(f"{text}-{speaker}-{number}", text, Path("a.wav"), 1.0, (), (), speaker, "en", "test")


def test_parallel_sentences_are_found() -> None:
    spoken = [("a", "x"), ("a", "y"), ("a", "y"), ("b", "y"), ("b", "x"), ("b", "z"), ("c", "x"), ("d", "z"), ("", "x")]
    found = parallel_sentences([_said(text, speaker, k) for k, (text, speaker) in enumerate(spoken)])
    assert [[(one.text, one.speaker) for one in row] for row in found] == [
        [("a", "x"), ("a", "y")],
        [("b", "x"), ("b", "y")],
    ]
    many = [_said(f"t{t}", f"v{v}", 0) for t in range(12) for v in range(10)]
    found = parallel_sentences(many)
    assert len(found) == 10 and {tuple(one.speaker for one in row) for row in found} == {
        tuple(f"v{v}" for v in range(8))
    }
    assert parallel_sentences([_said("a", "x", 0), _said("a", "y", 0), _said("b", "x", 0)]) == []


def test_voices_are_compared_where_they_say_the_same(
    spoken_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four texts by two "voices" with one recording: they agree on every unit. A third voice only says these."""
    spoken = list(read_corpus(spoken_corpus))
    made = []
    for number, one in enumerate(spoken):
        speakers = ("ann", "bob", "cid", "dan") if number < 4 else (("ann", "bob")[number % 2],)
        made += [replace(one, id=f"{one.id}-{speaker}", speaker=speaker, phones=()) for speaker in speakers]
    made.append(replace(made[3], id="once-more"))  # dan's again: it must not teach
    monkeypatch.setattr("smoltolk.data.fitting.unit_models.read_corpus", lambda _: iter(made))
    quality = fit_units(tmp_path, replace(FEW, encoder="mfcc", clusters=10)).quality
    assert quality.cross_voice_seen == 0.0 and quality.cross_voice_unseen == 0.0
    assert math.isnan(quality.pnmi)  # no phones here
    # Who is taught by none of the others is not seen.
    alone = [one for one in made if one.speaker != "dan"]
    monkeypatch.setattr("smoltolk.data.fitting.unit_models.read_corpus", lambda _: iter(alone))
    assert math.isnan(fit_units(tmp_path, replace(FEW, encoder="mfcc", clusters=10)).quality.cross_voice_unseen)


def test_units_need_speech_and_options_that_fit(spoken_corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for utterance in list(read_corpus(spoken_corpus))[:3]:
        assert utterance.audio is not None
        (folder / utterance.audio.name).symlink_to(utterance.audio)
        (folder / f"{utterance.id}.txt").write_text(utterance.text)
    collect(folder, tmp_path / "corpus", aligner=None, workers=0)
    with pytest.raises(InputError, match="whose phones are known"):
        fit_units(tmp_path / "corpus", replace(FEW, steps=1))
    quality = fit_units(tmp_path / "corpus", replace(FEW, encoder="mfcc", clusters=5)).quality
    assert math.isnan(quality.purity) and quality.units_per_second > 1
    with pytest.raises(InputError, match="an utterance at least"):
        fit_units(spoken_corpus, replace(FEW, most=0))
    for wrong in (
        {"clusters": 1},
        {"clusters": -1},
        {"encoder": "mfcc"},
        {"encoder": "mfcc", "clusters": 5, "layer": 1},
        {"encoder": "mfcc", "clusters": 5, "frames": 4},
        {"kmeans_steps": 0},
    ):
        with pytest.raises(InputError, match="units fit --help"):
            fit_units(tmp_path / "no corpus is read", replace(FEW, **wrong))
