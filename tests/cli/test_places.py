"""Where verbs write: never over other things, never into a directory that was not named; and their seeds."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import typer

from smoltolk.cli.app import app
from smoltolk.cli.options import check_seed, check_seed_given
from smoltolk.data.corpora.corpus import check_complete, read_corpus, validate_corpus
from smoltolk.speech.audio import save

RUN = [sys.executable, "-c", "from smoltolk.cli import main; main()"]
VERBS = [
    "world {out}", "speak {in}/texts.txt {out}", "corpus folder {in} {out}", "corpus manifests {in} {out}",
    "corpus recipe librispeech {in} {out}", "corpus text {in} {out}", "corpus validate {out}",
    "corpus export {in} {out}", "align {in} {out}", "units fit {in} {out}", "prepare {in} {in} {out}",
    "backbone {in}/texts.txt {out}", "train {in} {in} {out}", "vocoder fit {in} {in} {out}", "convert {in} {out}",
    "evaluate {in} {in} {in} --out {out}", "say {in} hello --vocoder {in} --out {out}", "quickstart --out {out}",
    "ablate {out}", "shards import {in} {out}",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for number in range(30):
        save(folder / f"r{number}.wav", np.full(1_600, 0.1, np.float32))
        (folder / f"r{number}.txt").write_text(f"number {number}")
    (folder / "texts.txt").write_text("A dog.\n")
    return folder


@pytest.mark.parametrize("command", VERBS)
def test_an_empty_place_is_no_place(
    command: str, folder: Path, tmp_path: Path, smoltolk: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for out in ("", "--out="):
        words = [part.format(out=out, **{"in": folder}) for part in command.split()]
        if out and "--out" not in command:
            continue
        told = smoltolk(*[word for word in words if word != "--out" or not out])
        assert told.code == 1 and "no argument is empty" in told.err, told
    assert not list((tmp_path / "here").iterdir())


@pytest.mark.parametrize("command", ["world {out}", "corpus folder {in} {out}", "speak {in}/texts.txt {out}"])
def test_other_things_stay_alone(command: str, folder: Path, tmp_path: Path, smoltolk: Callable) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    told = smoltolk(*(part.format(out=full, **{"in": folder}) for part in command.split()))
    assert told.code == 1 and "holds something else: notes.txt" in told.err
    assert [path.name for path in full.iterdir()] == ["notes.txt"]


def verbs_of(group: typer.Typer) -> Iterator[Callable[..., object]]:
    """Every verb, however deep."""
    yield from (command.callback for command in group.registered_commands if command.callback is not None)
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            yield from verbs_of(inner.typer_instance)


def test_every_verb_with_a_seed_holds_it_against_the_same_range() -> None:
    seeds = {
        verb: get_type_hints(verb, include_extras=True)["seed"]
        for verb in verbs_of(app)
        if "seed" in verb.__annotations__
    }
    assert len(seeds) >= 12
    checks = (check_seed, check_seed_given)
    assert [verb.__name__ for verb, kind in seeds.items() if kind.__metadata__[0].callback not in checks] == []


@pytest.mark.parametrize("seed", [-1, 2**32, 2**63, 10**23])
@pytest.mark.parametrize(
    "command", ["world {out}", "say {in} hello --vocoder {in} --out {out}", "train {in} {in} {out}"]
)
def test_seeds_have_one_range(command: str, seed: int, folder: Path, tmp_path: Path, smoltolk: Callable) -> None:
    told = smoltolk(*(p.format(out=tmp_path / "out", **{"in": folder}) for p in command.split()), "--seed", seed)
    assert told.code == 1 and "a seed lies between 0 and 4294967295" in told.err, told
    assert not (tmp_path / "out").exists()


def test_seeds_of_an_ablation(tmp_path: Path, smoltolk: Callable) -> None:
    told = smoltolk("ablate", tmp_path / "out", "--seeds", "0,4294967296")
    assert told.code == 1 and "between 0 and 4294967295" in told.err


def three(command: list[object]) -> list[subprocess.CompletedProcess[str]]:
    """The same command, three times at once."""
    running = [
        subprocess.Popen(
            [*RUN, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
        )
        for _ in range(3)
    ]
    return [_ended(one) for one in running]


def _ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.mark.parametrize("verb", ["folder", "export", "world"])
def test_three_runs_on_one_place(verb: str, folder: Path, tmp_path: Path, smoltolk: Callable) -> None:
    """At least one does it, the others agree or say why not; nobody sees a traceback."""
    out = tmp_path / "out"
    command: list[object] = ["corpus", "folder", folder, out, "--aligner", "none", "--workers", 0]
    if verb == "export":
        assert smoltolk(*command[:3], tmp_path / "made", *command[4:]).code == 0
        command = ["corpus", "export", tmp_path / "made", out]
    elif verb == "world":
        command = ["world", out, "--people", 12, "--stories", 40, "--questions", 4]
    ended = three(command)
    assert any(one.returncode == 0 for one in ended), ended
    for one in ended:
        assert "Traceback" not in one.stderr, one.stderr
        assert one.returncode == 0 or "one process at a time" in one.stderr or "something else" in one.stderr, one
    if verb == "folder":
        assert check_complete(out).num_utterances == 31
        assert validate_corpus(out).num_utterances == 30 == len(list(read_corpus(out)))
        assert len((out / "rejected.jsonl").read_text().splitlines()) == 1
    assert not [path for path in tmp_path.rglob(".tmp-*")]
    if verb == "world":
        assert len([json.loads(line) for line in (out / "stories.jsonl").read_text().splitlines()]) == 40
