"""Vocoders from the command line: every kind is fitted, kept, and speaks; a published one comes in."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch

from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.vocoders.hifigan_config import hifigan_config
from smoltolk.speech.vocoders.hifigan_network import HifiGanNetwork


@pytest.fixture(scope="module")
def units_file(tmp_path_factory: pytest.TempPathFactory, phone_units_dir: Path) -> Path:
    path = tmp_path_factory.mktemp("say") / "units.jsonl"
    fingerprint = load_unit_tokenizer(phone_units_dir).fingerprint
    path.write_text(json.dumps({"id": "one", "units": [3, 7, 5], "durations": [2, 1, 4], "fingerprint": fingerprint}))
    return path


@pytest.mark.parametrize(
    ("kind", "options"), [("griffinlim", []), ("vocos", []), ("hifigan", ["--size", "tiny", "--speakers", "all"])]
)
def test_a_kind_is_fitted_kept_and_speaks(
    kind: str, options: list[str], spoken_corpus: Path, phone_units_dir: Path, units_file: Path, tmp_path: Path,
    smoltolk: Callable,
) -> None:  # fmt: skip
    out = tmp_path / "vocoder"
    command = ("vocoder", "fit", spoken_corpus, phone_units_dir, out, "--kind", kind, "--steps", 1, "--no-judge")
    first = smoltolk(*command, *options)
    assert first.code == 0, first.err
    assert "utterances are few" in first.err
    assert list((out / "samples").rglob("*.wav")) and not (tmp_path / "vocoder.work").exists()
    second = smoltolk(*command, *options)
    assert (
        second.code == 0
        and "already there" in second.out
        and set(first.out.splitlines()) <= set(second.out.splitlines())
    )
    said = smoltolk("vocoder", "say", units_file, out, tmp_path / "said", "--keep-durations")
    assert said.code == 0 and soundfile.info(tmp_path / "said" / "one.wav").frames == 7 * 640
    nobody = smoltolk("vocoder", "say", units_file, out, tmp_path / "said", "--speaker", "nobody")
    assert nobody.code == 1 and "'nobody'" in nobody.err


def test_one_bad_recording_and_texts_of_marks_do_not_end_a_fit(
    spoken_corpus: Path, phone_units_dir: Path, tmp_path: Path, smoltolk: Callable
) -> None:
    corpus = tmp_path / "corpus"
    shutil.copytree(spoken_corpus, corpus)
    broken = sorted(corpus.glob("parts/*/*.flac"))[1]
    broken.write_bytes(broken.read_bytes()[:200])
    for path in corpus.glob("parts/*/utterances.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        rows[0]["seconds"] = 0.025 if path.parent.name == "00000" else rows[0]["seconds"]
        path.write_text("".join(json.dumps({**row, "text": "... !", "speaker": "one"}) + "\n" for row in rows))
    out = tmp_path / "vocoder"
    made = smoltolk("vocoder", "fit", corpus, phone_units_dir, out, "--steps", 1)
    assert made.code == 0, made.err
    reasons = {row["id"]: row["reason"] for row in map(json.loads, (out / "rejected.jsonl").open())}
    assert "must be" in reasons[broken.stem] or "... !" in reasons[broken.stem]
    assert sum("one frame at least" in reason for reason in reasons.values()) == 1
    assert sum("words to listen for" in reason for reason in reasons.values()) == 1
    assert "word errors" in made.out and "not measured: no utterance held out has a word" in made.out
    assert f"{len(reasons)} rejected" in made.err and "rejected" in made.out


def test_bad_lines_are_named_and_the_others_said(
    spoken_corpus: Path, phone_units_dir: Path, units_file: Path, tmp_path: Path, smoltolk: Callable
) -> None:
    vocoder = tmp_path / "vocoder"
    command = ("vocoder", "fit", spoken_corpus, phone_units_dir, vocoder, "--steps", 1, "--no-judge")
    assert smoltolk(*command).code == 0
    good, lines = units_file.read_text(), tmp_path / "lines.jsonl"
    bad = [
        b"no json", b'{"id": "u", "units": [1, 2]', b"\xff\xfe", b"[1]", b'{"id": "a"}',
        b'{"id": "b", "units": [[1], [2, 3]]}',
        b'{"id": "c", "units": [99999]}', b'{"id": "d", "units": [-1]}', b'{"id": "../e", "units": [1]}',
        b'{"id": "", "units": [1]}', b'{"id": "f", "units": ["x"]}', b'{"id": "g", "units": [1.5]}',
        b'{"id": "h", "units": [1], "fingerprint": 7}', b'{"id": "i", "units": []}',
        b'{"id": "%s", "units": [1]}' % (b"n" * 300), b'{"id": "k", "units": [1000000000000000000000000]}',
        b'{"id": "l\\u0000", "units": [1]}', b"[" * 100_000,
        b'{"id": "one", "units": [3]}',
    ]  # fmt: skip
    lines.write_bytes(good.encode() + b"\n" + b"\n".join(bad) + b"\n" + good.replace('"one"', '"two"').encode())
    said = smoltolk("vocoder", "say", lines, vocoder, tmp_path / "said")
    rejected = [line for line in said.err.splitlines() if line.startswith("  rejected")]
    assert said.code == 0 and "2 recordings" in said.out, said.err
    assert len(rejected) == len(bad) and f"{len(bad)} rejected" in said.err, said.err
    assert sorted(path.name for path in (tmp_path / "said").iterdir()) == ["one.wav", "two.wav"]
    lines.write_bytes(b"\n".join(bad[:-1]))
    nothing = smoltolk("vocoder", "say", lines, vocoder, tmp_path / "nothing")
    assert nothing.code == 1 and not (tmp_path / "nothing").exists()


def test_a_model_may_judge(
    spoken_corpus: Path, phone_units_dir: Path, ctc_dir: Path, tmp_path: Path, smoltolk: Callable
) -> None:
    command = ("vocoder", "fit", spoken_corpus, phone_units_dir, tmp_path / "vocoder", "--steps", 1, "--judge")
    nobody = smoltolk(*command, "./nobody")
    assert nobody.code == 1 and "nobody" in nobody.err and not (tmp_path / "vocoder.work").exists()
    ids = tmp_path / "ids.txt"
    held = [one.id for one in list(read_corpus(spoken_corpus))[:2]]
    ids.write_text("\n".join(held))
    made = smoltolk(*command, ctc_dir, "--speakers", "all", "--kind", "hifigan", "--size", "tiny", "--hold-out", ids)
    assert made.code == 0, made.err
    assert re.search(r"judged +2 utterances held out, \d+ words", made.out), made.out
    assert len(re.findall(r"word errors, .* \d+\.\d% \(\d+\.\d% to \d+\.\d%\)", made.out)) == 4
    other = smoltolk(*command, ctc_dir, "--speakers", "all", "--kind", "hifigan", "--size", "tiny")
    assert other.code == 1 and "held_out" in other.err
    order = ["as recorded", "its spectrogram inverted", "units, true durations", "units, predicted durations"]
    said = [line for line in made.out.splitlines() if "word errors" in line]
    assert [title in line for title, line in zip(order, said, strict=True)] == [True] * 4
    assert smoltolk(*command, "pocketsphinx").code == 1  # what lies there was heard by another one


def test_a_published_one_comes_in(phone_units_dir: Path, units_file: Path, tmp_path: Path, smoltolk: Callable) -> None:
    tokenizer = load_unit_tokenizer(phone_units_dir)
    config = hifigan_config(tokenizer, "tiny", 1)
    torch.save({"generator": HifiGanNetwork(config).state_dict()}, tmp_path / "generator.pt")
    (tmp_path / "config.json").write_text(json.dumps(config.as_dict()))
    command = ("vocoder", "import", tmp_path / "generator.pt", phone_units_dir, tmp_path / "vocoder")
    missing = smoltolk(*command)
    assert missing.code == 1 and "--config" in missing.err
    for _ in range(2):
        made = smoltolk(*command, "--config", tmp_path / "config.json")
        assert made.code == 0 and "41 at 25 Hz" in made.out, made
    assert smoltolk("vocoder", "say", units_file, tmp_path / "vocoder", tmp_path / "said").code == 0
    assert (tmp_path / "said" / "one.wav").is_file()
