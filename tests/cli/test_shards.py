"""The verbs of shards: what they print, and how they end."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smoltolk.cli.app import app
from smoltolk.common.errors import InputError

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object, fails: bool = False) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=not fails)
        return result.exit_code, result.output

    return run


def test_shares_are_prepared_and_validated(
    run: Run, spoken_corpus: Path, phone_units_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "shards"
    common = ("prepare", spoken_corpus, phone_units_dir, out, "--workers", 0)
    assert run(*common, "--shard", "2/2")[0] == 0
    code, printed = run("shards", "validate", out, "--corpus", spoken_corpus)
    assert code == 1 and "part-00000.parquet: it is missing" in printed
    assert run(*common, "--shard", "1/2")[0] == 0
    code, printed = run("shards", "validate", out, "--units", phone_units_dir, "--corpus", spoken_corpus)
    assert code == 0 and printed.count("good") == 4
    for bad in (("--shard", "3/2"), ("--engine", "slurm"), ("--device", "tpu")):
        with pytest.raises(InputError):
            run(*common, *bad, fails=True)


def test_a_damaged_shard_ends_with_1(run: Run, shards_dir: Path, tmp_path: Path) -> None:
    shards = Path(shutil.copytree(shards_dir, tmp_path / "shards"))
    data = (shards / "part-00001.parquet").read_bytes()
    (shards / "part-00001.parquet").write_bytes(data[:-100])
    code, printed = run("shards", "validate", shards)
    assert code == 1 and "part-00001.parquet: " in printed and "1 bad" in printed


def test_slamkit_is_imported(run: Run, tmp_path: Path) -> None:
    rows = [{"file_name": "a.flac", "audio_repr": "<Un3><Un7>"}, {"file_name": "b.flac", "audio_repr": "text"}]
    (tmp_path / "tokens.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, printed = run("shards", "import", tmp_path / "tokens.jsonl", tmp_path / "shards")
    assert code == 0 and "rejected" in printed and "every unit counts one frame" in printed
    assert run("shards", "validate", tmp_path / "shards")[0] == 0


def test_a_row_is_printed_and_drawn(run: Run, shards_dir: Path, spoken_corpus: Path, tmp_path: Path) -> None:
    page = tmp_path / "row.html"
    options = ("--length", 256, "--spans", "2-4,2-4")
    code, printed = run("inspect", shards_dir, "--row", 7, *options)
    assert code == 0, printed
    assert "row 7: interleaved, 256 ids" in printed and "<switch>" in printed and "train-heard-" in printed
    assert re.search(r"number \d+ of \d+ in pass \d+ over the 8 utterances\n", printed)
    code, drawn = run("inspect", shards_dir, "--row", 7, *options, "--html", page, "--corpus", spoken_corpus)
    head = printed.splitlines()[:3]
    assert code == 0 and drawn.splitlines() == [*head, f"{page}: {page.stat().st_size / 1e6:.1f} MB"]
    assert page.read_text().count("<audio") >= 1
    code, printed = run("inspect", shards_dir, "--task", "speech=1,recognition=3", *options)
    assert code == 0 and "25.0%  speech: 8 utterances" in printed and "75.0%  recognition" in printed
    with pytest.raises(InputError, match="--html draws one --row"):
        run("inspect", shards_dir, "--html", page, fails=True)


def test_a_row_is_the_same_from_an_index_on_disk(run: Run, shards_dir: Path, tmp_path: Path) -> None:
    options = ("inspect", shards_dir, "--length", 256, "--spans", "2-4,2-4")
    for more in (("--row", 7), ()):
        code, printed = run(*options, *more, "--index", tmp_path / "index")
        assert code == 0 and printed.endswith(run(*options, *more)[1])
    assert len(list((tmp_path / "index").glob("*/index.json"))) == 1


def test_ids_of_a_run_fit_a_line_or_are_all_there(run: Run, shards_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = ("inspect", shards_dir, "--row", 99999, "--task", "speech", "--length", 512)
    for width in (80, 120, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        shortened, full = run(*call)[1], run(*call, "--full")[1]
        assert "row 99999: speech" in shortened and all(len(line) <= width for line in full.splitlines())
        (left,) = set(re.findall(r"\.\.\. (\d+) more", shortened.split("\n2. ")[0]))
        line = next(line for line in shortened.splitlines() if f"{left} more" in line)
        shown = re.findall(r"\d+", line.split("... ")[0].split("  ")[-1])
        size = int(re.findall(r"\d+ of (\d+)", line)[0])
        assert len(shown) + int(left) == size and len(line) <= width
        assert "more" not in full and len(full.splitlines()) > len(shortened.splitlines())
