"""Verbs of units: what they make, say and refuse."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pytest
import soundfile
import torch
from sklearn.cluster import KMeans
from transformers import HubertConfig, HubertModel, MimiConfig, MimiModel

from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.corpora.recordings import collect
from smoltolk.data.shards.parquet import read_shards
from smoltolk.speech.audio import load
from smoltolk.speech.units.codebook import clusterer
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.units.phone_encoder import LabelledSpeech
from smoltolk.speech.units.quality import measure_units


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny HuBERT of 25 Hz with its codebook, and a tiny Mimi, as the hub has them."""
    directory = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    conv = {"conv_dim": (8,) * 8, "conv_kernel": (10, 3, 3, 3, 3, 2, 2, 2), "conv_stride": (5, 2, 2, 2, 2, 2, 2, 2)}
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    HubertModel(HubertConfig(**conv, **size)).save_pretrained(directory / "hubert")
    joblib.dump(KMeans(9, n_init=1).fit(np.random.default_rng(0).standard_normal((99, 16))), directory / "km.bin")
    size = {"hidden_size": 16, "num_filters": 4, "num_residual_layers": 1, "codebook_dim": 8, "codebook_size": 32}
    more = {"num_hidden_layers": 1, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 2}
    rest = {"vector_quantization_hidden_dimension": 8, "num_quantizers": 4, "head_dim": 8, "upsample_groups": 16}
    MimiModel(MimiConfig(**size, **more, **rest)).save_pretrained(directory / "mimi")
    return directory


def test_units_without_labels_are_fitted_once(
    spoken_corpus: Path, models: Path, tmp_path: Path, smoltolk: Callable
) -> None:
    for encoder, *options in (["mfcc"], [str(models / "hubert"), "--layer", "1"]):
        out = tmp_path / f"units-{len(options)}"
        command = ["units", "fit", spoken_corpus, out, "--encoder", encoder, *options, "--clusters", 12]
        command += ["--kmeans-steps", 3]
        made = smoltolk(*command)
        assert made.code == 0, made.err
        assert "12, fingerprint" in made.out and f"frames clustered by {clusterer()}" in made.out
        assert "no labels" in made.out
        for figure in (r"purity +0\.\d", r"PNMI +0\.\d", r"units a second +\d", r"bits a second +\d"):
            assert re.search(figure, made.out), made.out
        assert len(re.findall(r"edit distance across .* not measured: no two texts", made.out)) == 2
        again = smoltolk(*command)
        assert (
            again.code == 0
            and "already there" in again.out
            and set(made.out.splitlines()) <= set(again.out.splitlines())
        )
        other = smoltolk(*command, "--seed", 1)
        assert other.code == 1 and "seed was 0, is 1" in other.err


def test_what_is_not_measured_is_said(spoken_corpus: Path, tmp_path: Path, smoltolk: Callable) -> None:
    phones = smoltolk("units", "fit", spoken_corpus, tmp_path / "phones", "--steps", 2)
    assert phones.code == 0, phones.err
    assert "utterances and their phones (supervised)" in phones.out and "clustered" not in phones.out
    folder = tmp_path / "recordings"
    folder.mkdir()
    for utterance in list(read_corpus(spoken_corpus))[:4]:
        (folder / utterance.audio.name).symlink_to(utterance.audio)
        (folder / f"{utterance.id}.txt").write_text(utterance.text)
    collect(folder, tmp_path / "corpus", aligner=None, workers=0)
    units = smoltolk("units", "fit", tmp_path / "corpus", tmp_path / "units", "--encoder", "mfcc", "--clusters", 9)
    assert units.code == 0, units.err
    assert re.search(r"purity +not measured: nobody knows the phones", units.out)
    assert re.search(r"PNMI +not measured", units.out) and re.search(r"bits a second +\d", units.out)


def test_units_that_exist_are_measured_on_another_corpus(
    spoken_corpus: Path, phone_units_dir: Path, tmp_path: Path, smoltolk: Callable
) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "figures.json"
    shutil.copytree(spoken_corpus, corpus)
    broken = sorted(corpus.glob("parts/*/*.flac"))[0]
    broken.write_bytes(b"")
    made = smoltolk("units", "measure", phone_units_dir, corpus, "--out", out)
    assert made.code == 0 and f"rejected {broken.stem}: " in made.err, made.err
    figures = json.loads(out.read_text())
    assert figures["utterances"] == 7 and figures["rejected"] == 1 and figures["x_real_time"] > 0
    tokenizer = load_unit_tokenizer(phone_units_dir)
    known = [one for one in read_corpus(spoken_corpus) if one.id != broken.stem]
    wanted = measure_units(tokenizer, [LabelledSpeech(load(one.audio), one.phones) for one in known])
    assert figures["purity"] == pytest.approx(wanted.purity) and figures["pnmi"] == pytest.approx(wanted.pnmi)
    assert figures["units_per_second"] == pytest.approx(wanted.units_per_second, rel=1e-3)
    for said in (r"7 utterances", r"purity +0\.\d", r"across voices +not measured", r"\d x real time"):
        assert re.search(said, made.out), made.out
    for path in corpus.glob("parts/*/*.flac"):
        path.write_bytes(b"")
    none = smoltolk("units", "measure", phone_units_dir, corpus)
    assert none.code == 1 and "fix:" in none.err


def test_published_files_become_units_and_json_lines(
    spoken_corpus: Path, models: Path, tmp_path: Path, smoltolk: Callable
) -> None:
    fetched = smoltolk(
        "units", "fetch", models / "hubert", tmp_path / "units", "--layer", 2, "--codebook", models / "km.bin"
    )
    assert fetched.code == 0, fetched.err
    assert "9, fingerprint" in fetched.out and "25, of sound at 16000 Hz" in fetched.out
    recordings = [one.audio for one in read_corpus(spoken_corpus)][:2]
    printed = smoltolk("units", "encode", *recordings, "--units", tmp_path / "units")
    rows = [json.loads(line) for line in printed.out.splitlines()]
    frames = [(soundfile.info(path).frames - 720) // 640 + 1 for path in recordings]
    assert [sum(row["durations"]) for row in rows] == frames and max(rows[0]["units"]) < 9


def test_bad_recordings_are_named_and_the_others_encoded(
    spoken_corpus: Path, models: Path, tmp_path: Path, smoltolk: Callable
) -> None:
    layer = ("--layer", 2, "--codebook", models / "km.bin")
    assert smoltolk("units", "fetch", models / "hubert", tmp_path / "units", *layer).code == 0
    good = next(iter(read_corpus(spoken_corpus))).audio
    soundfile.write(tmp_path / "short.wav", np.zeros(100), 16_000)
    soundfile.write(tmp_path / "holes.wav", np.full(9000, np.nan), 16_000, subtype="FLOAT")
    (tmp_path / "nothing.flac").write_bytes(b"")
    bad, out = (
        [tmp_path / name for name in ("short.wav", "holes.wav", "nothing.flac", "none.wav")],
        tmp_path / "o.jsonl",
    )
    options = ("--units", tmp_path / "units", "--out", out)
    alone = smoltolk("units", "encode", *bad, *options)
    assert alone.code == 1 and "4 rejected" in alone.err and not out.exists()
    assert smoltolk("units", "encode", good, *options).code == 0
    wanted = out.read_text()
    made = smoltolk("units", "encode", *bad[:2], good, *bad[2:], *options)
    assert made.code == 0 and out.read_text() == wanted and "1 recordings" in made.out
    lines = [line for line in made.err.splitlines() if line.startswith("  rejected")]
    assert len(lines) == 4 and all(any(path.name in line for line in lines) for path in bad)


def test_one_short_recording_does_not_end_a_fit(spoken_corpus: Path, tmp_path: Path, smoltolk: Callable) -> None:
    """25 ms, and one whose sound is gone: both are left out, named and counted; the others decide the units."""
    folder, whole = tmp_path / "recordings", tmp_path / "whole"
    for place in (folder, whole):
        place.mkdir()
        for utterance in list(read_corpus(spoken_corpus))[:6]:
            (place / utterance.audio.name).symlink_to(utterance.audio)
            (place / f"{utterance.id}.txt").write_text(utterance.text)
    for name in ("a-short", "z-short"):
        soundfile.write(folder / f"{name}.wav", np.random.default_rng(0).normal(size=399), 16_000)
        (folder / f"{name}.txt").write_text("yes")
    fitted = {}
    for place in (folder, whole):
        corpus, units = tmp_path / f"corpus-{place.name}", tmp_path / f"units-{place.name}"
        collect(place, corpus, aligner=None, workers=0)
        command = ("units", "fit", corpus, units, "--encoder", "mfcc", "--clusters", 5)
        made = smoltolk(*command)
        assert made.code == 0, made.err
        fitted[place] = (units / "model.safetensors").read_bytes()
    assert fitted[folder] == fitted[whole]
    rejected = [json.loads(line) for line in (tmp_path / "units-recordings" / "rejected.jsonl").open()]
    assert [one["id"] for one in rejected] == ["a-short", "z-short"]
    assert all("one frame at least" in one["reason"] for one in rejected)
    again = smoltolk("units", "fit", tmp_path / "corpus-recordings", tmp_path / "units-recordings", *command[4:])
    assert "rejected" in again.out and again.code == 0


@pytest.mark.parametrize("seed", range(3))
def test_recordings_that_are_gone_do_not_end_a_fit(
    seed: int, spoken_corpus: Path, tmp_path: Path, smoltolk: Callable
) -> None:
    """Whoever is held out: here all but three recordings cannot be read."""
    corpus = tmp_path / "corpus"
    shutil.copytree(spoken_corpus, corpus)
    recordings = sorted(corpus.glob("parts/*/*.flac"))
    for path in recordings[3:]:
        path.write_bytes(path.read_bytes()[:100])
    made = smoltolk("units", "fit", corpus, tmp_path / "units", "--encoder", "mfcc", "--clusters", 5, "--seed", seed)
    assert made.code == 0, made.err
    assert f"{len(recordings) - 3} rejected" in made.err
    for path in recordings[:3]:
        path.unlink()
    none = smoltolk("units", "fit", corpus, tmp_path / "none", "--encoder", "mfcc", "--clusters", 5)
    assert none.code == 1 and none.err.count("fix:") >= 1 and not (tmp_path / "none").exists()


def test_a_codec_becomes_units_that_are_lists(
    spoken_corpus: Path, models: Path, tmp_path: Path, smoltolk: Callable
) -> None:
    fetched = smoltolk("units", "fetch", models / "mimi", tmp_path / "units", "--codec", "--codebooks", 3)
    assert fetched.code == 0 and "12.5, of sound at 24000 Hz" in fetched.out, fetched.err
    recording = next(iter(read_corpus(spoken_corpus))).audio
    row = json.loads(smoltolk("units", "encode", recording, "--units", tmp_path / "units").out)
    assert len(row["units"][0]) == 3 and set(row["durations"]) == {1}
    prepared = smoltolk("prepare", spoken_corpus, tmp_path / "units", tmp_path / "shards", "--workers", 0)
    assert prepared.code == 0, prepared.err
    shards = read_shards(tmp_path / "shards")
    assert shards.metadata.num_codebooks == 3 and shards.units(0).shape[1] == 3


def test_what_is_refused(spoken_corpus: Path, models: Path, tmp_path: Path, smoltolk: Callable) -> None:
    hubert, out = models / "hubert", tmp_path / "out"
    for command, said in (
        (("fit", spoken_corpus, out, "--encoder", hubert), "whose states become units"),
        (("fit", spoken_corpus, out, "--encoder", hubert, "--layer", 7), "from 0 to 2"),
        (("fit", spoken_corpus, out, "--encoder", "mfcc", "--layer", 1), "units fit --help"),
        (("fetch", hubert, out, "--layer", 1), "give --layer and --codebook"),
        (("fetch", hubert, out, "--layer", 1, "--codebook", models / "none"), "a codebook must exist"),
        (("fetch", hubert, out, "--codec"), "no encode and decode"),
        (("fetch", models / "mimi", out, "--codec", "--layer", 1), "its codebooks in it"),
        (("fetch", hubert, out, "--codebooks", 2), "add --codec"),
    ):
        result = smoltolk("units", *command)
        assert result.code == 1 and said in result.err and result.err.count("fix:") == 1, result
        assert not out.exists()


def test_a_recording_unlike_what_units_were_learnt_from_is_pointed_out(
    spoken_corpus: Path, phone_units_dir: Path, tmp_path: Path, smoltolk: Callable
) -> None:
    units = tmp_path / "units"
    shutil.copytree(phone_units_dir, units)
    audio = next(one.audio for one in read_corpus(spoken_corpus))
    config = json.loads((units / "config.json").read_text())
    for usual, told in ((1e-6, True), (1e6, False)):
        (units / "config.json").write_text(json.dumps({**config, "usual_doubt": usual}))
        made = smoltolk("units", "encode", audio, "--units", units)
        assert made.code == 0 and ("unlike the recordings" in made.err) == told, made.err
