"""Three processes of a verb on one output: one wins or all agree, never a traceback, never a mixed result."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("espeakng_loader")

COMMAND = [sys.executable, "-c", "from smoltolk.cli import main; main()"]
SMALL = "--steps 30 --layers 1 --hidden-size 32 --heads 2 --vocab-size 300 --row-length 64 --rows-per-step 2"
QUICK = {
    "world": "world {1} --people 12 --stories 300 --questions 4",
    "speech": "speak {0}/texts.txt {1} --workers 1",
    "units": "units fit {0}/speech {1} --encoder mfcc --clusters 5",
    "shards": "prepare {0}/speech {0}/units {1} --workers 0",
}
# Where each process takes ten seconds: `make stops`.
LONG = {
    "vocoder": "vocoder fit {0}/speech {0}/units {1} --steps 3 --no-judge",
    "backbone": "backbone {0}/texts.txt {1} " + SMALL,
    "model": "train {0}/backbone {0}/shards {1} --preset small --steps 8 --row-length 64 --rows-per-step 2",
    "quickstart": "quickstart --out {1} --scale tiny",
    "ablation": "ablate {1} --scale tiny --seeds 0 --variants late --steps 20",
}
VERBS = {**QUICK, **LONG} if "SMOLTOLK_STOPS" in os.environ else QUICK
RESULTS = (".safetensors", ".parquet", ".flac", "utterances.jsonl", "rejected.jsonl", "clozes.jsonl", "text.txt")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("at-once")
    lines = [f"Dog number {number} eats bread in the house of Anna." for number in range(60)]
    (place / "texts.txt").write_text("\n".join(lines) + "\n")
    return place


def result_of(out: Path) -> dict[str, bytes]:
    files = [path for path in sorted(out.rglob("*")) if path.name.endswith(RESULTS)]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", VERBS)
def test_one_wins_or_all_agree(name: str, place: Path, tmp_path: Path, smoltolk: Callable) -> None:
    alone = smoltolk(*VERBS[name].format(place, place / name).split())
    assert alone.code == 0, alone.err
    out = tmp_path / name
    command = [*COMMAND, *VERBS[name].format(place, out).split()]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in "abc"]
    ended = [(process.communicate(timeout=600)[1], process.returncode) for process in processes]
    for said, code in ended:
        assert "Traceback" not in said, said
        assert code == 0 or (code == 1 and "one process at a time" in said and "another" in said), said
    assert min(code for _, code in ended) == 0
    made, wanted = result_of(out), result_of(place / name)
    other = [file for file in made.keys() | wanted.keys() if made.get(file) != wanted.get(file)]
    assert wanted and not other, f"{sorted(other)} of {len(made)} and {len(wanted)} files are not the same"
    assert [path.name for path in tmp_path.iterdir()] == [name] and not list(out.rglob(".tmp-*"))
