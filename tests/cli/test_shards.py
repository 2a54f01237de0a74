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
from smoltolk.cli.options import changes_of
from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.training.backbone import BackboneSize
from smoltolk.training.job import TrainingJob
from smoltolk.training.presets import SMALL_MIXTURE
from smoltolk.training.recipes.positional import positional_recipe
from smoltolk.training.text_job import TextJob

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


def test_places_that_are_not_there(run: Run, shards_dir: Path, tmp_path: Path) -> None:
    for command in ((shards_dir, "--units", tmp_path / "unitz"), (tmp_path / "shardz",)):
        with pytest.raises(NotFoundError, match=f"found: no directory {re.escape(str(command[-1]))}\n"):
            run("shards", "validate", *command, fails=True)


def test_slamkit_is_imported(run: Run, tmp_path: Path) -> None:
    rows = [{"file_name": "a.flac", "audio_repr": "<Un3><Un7>"}, {"file_name": "b.flac", "audio_repr": "text"}]
    (tmp_path / "tokens.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, printed = run("shards", "import", tmp_path / "tokens.jsonl", tmp_path / "shards")
    assert code == 0 and "rejected" in printed and "every unit counts one frame" in printed
    assert run("shards", "validate", tmp_path / "shards")[0] == 0


def test_a_row_is_printed_and_drawn(run: Run, shards_dir: Path, spoken_corpus: Path, tmp_path: Path) -> None:
    page = tmp_path / "row.html"
    options = ("--stage", "stage1", "--row-length", 256, "--spans", "2-4,2-4")
    code, printed = run("inspect", shards_dir, "--row", 7, *options)
    assert code == 0, printed
    assert "row 7: interleaved, 256 ids" in printed and "<switch>" in printed and "train-heard-" in printed
    assert re.search(r"number \d+ of \d+ in pass \d+ over the 8 utterances\n", printed)
    code, drawn = run("inspect", shards_dir, "--row", 7, *options, "--html", page, "--corpus", spoken_corpus)
    head = printed.splitlines()[:3]
    assert code == 0 and drawn.splitlines() == [*head, f"{page}: {page.stat().st_size / 1e6:.1f} MB"]
    assert page.read_text().count("<audio") >= 1
    code, printed = run("inspect", shards_dir, "--mixture", "speech=1,recognition=3")
    assert code == 0 and "25.0%  speech: 8 utterances" in printed and "75.0%  recognition" in printed
    with pytest.raises(InputError, match="--html draws one --row"):
        run("inspect", shards_dir, "--html", page, fails=True)


def test_a_preset_shows_its_own_mixture(run: Run, shards_dir: Path) -> None:
    printed = run("inspect", shards_dir, "--preset", "small")[1]
    assert "rows of 192 ids" in printed
    for task, weight in SMALL_MIXTURE.items():
        assert f"{weight / sum(SMALL_MIXTURE.values()):6.1%}  {task}" in printed
    only = run("inspect", shards_dir, "--preset", "small", "--stage", "stage1")[1]
    assert "100.0%  interleaved" in only and "recognition" not in only


def test_the_ids_of_a_printed_row_are_those_of_training(
    run: Run, shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100000")
    (tmp_path / "text.txt").write_text("\n".join(f"Nobody says these {n} words aloud." for n in range(60)))
    size = BackboneSize(hidden_size=32, num_layers=1, num_heads=2, vocab_size=300)
    TextJob(tmp_path / "text.txt", tmp_path / "backbone", size=size, steps=1, row_length=64, rows_per_step=1).run()
    given = {"seed": 5, "text": tmp_path / "text.txt", "preset": "400m"}
    options = [part for name, value in given.items() for part in (f"--{name}", value)]
    form = ("--row-length", 120, "--spans", "1-2,1-2", "--mixture", "text=1,interleaved=3", "--predict-switch")
    looked = ("inspect", shards_dir, "--text-model", tmp_path / "backbone", *options, *form, "--full")
    changes = changes_of(row_length=120, spans="1-2,1-2", mixture="text=1,interleaved=3", predict_switch=True)
    plan = TrainingJob(
        positional_recipe(str(tmp_path / "backbone"), shards_dir, tmp_path / "out", changes=changes, **given)
    ).plan()
    source, predicted = plan.rows(plan.recipe.stages[1], plan.build()), set()
    for number in range(6):
        row = source.row(number)
        lines = [re.split(r"\s{2,}", line.strip()) for line in run(*looked, "--row", number)[1].splitlines()]
        runs = [line for line in lines if re.fullmatch(r"\d+(-\d+)?", line[0])]
        shown = [int(one) for line in runs for one in line[-1].split()]
        assert shown == row.input_ids[: 120 - row.num_padding].tolist()
        predicted |= {line[2] for line in runs if "<switch>" in line}
    assert predicted == {"1 of 1"}


def test_a_row_is_the_same_from_an_index_on_disk(run: Run, shards_dir: Path, tmp_path: Path) -> None:
    options = ("inspect", shards_dir, "--row-length", 256, "--spans", "2-4,2-4")
    for more in (("--row", 7), ()):
        code, printed = run(*options, *more, "--index", tmp_path / "index")
        assert code == 0 and printed.endswith(run(*options, *more)[1])
    assert len(list((tmp_path / "index").glob("*/index.json"))) == 1


def test_ids_of_a_run_fit_a_line_or_are_all_there(run: Run, shards_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = ("inspect", shards_dir, "--row", 99999, "--mixture", "speech=1", "--row-length", 512)
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
