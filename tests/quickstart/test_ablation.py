"""An ablation for real: two variants on the data of a quick start; killed, continued, extended, refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smoltolk.cli.app import app
from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.quickstart.ablation import ablate
from smoltolk.report.results import validate_results

pytestmark = pytest.mark.slow

STEPS = 8


def results_of(run: Path) -> dict:
    return json.loads((run / "ablation.json").read_text())


def without_clock(results: dict) -> dict:
    for entry in results["variants"].values():
        for figures in entry["seeds"].values():
            figures.pop("train_seconds")
    return results


def files_of(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def ablated(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a finished ablation. Read only."""
    out, before = tmp_path_factory.mktemp("ablation") / "run", files_of(finished)
    ablate(out, "tiny", (0,), ("late", "early"), steps=STEPS, data=(finished,))
    assert files_of(finished) == before
    return out


def test_it_leaves_figures_a_table_a_figure_and_logs(ablated):
    results = results_of(ablated)
    assert (results["scale"], results["seeds"], results["steps"], results["missing"]) == ("tiny", [0], STEPS, [])
    assert list(results["variants"]) == ["late", "early"]
    for name, entry in results["variants"].items():
        figures = entry["seeds"]["0"]
        assert figures["steps"] == STEPS and figures["train_seconds"] > 0 and "history" not in figures
        for kind in ("story", "fact_heard", "fact_read", "fact_heard_answer", "fact_read_answer"):
            for cell in figures[kind].values():
                assert cell["low"] <= cell["accuracy"] <= cell["high"]
        step = json.loads((ablated / "steps" / f"{name}-0.json").read_text())
        assert step["figures"]["history"][-1]["step"] == STEPS
        assert all((ablated / "evaluation" / f"{name}-0" / f"{log}.jsonl").is_file() for log in ("world", "lens"))
    early = results["variants"]["early"]["outcomes"]["answer S->S"]["difference"]
    assert early["low"] <= early["difference"] <= early["high"]
    assert "All are run" in (ablated / "ablation.md").read_text()
    assert (ablated / "ablation.svg").read_text().startswith("<svg")
    assert not (ablated / "work").exists()


def test_it_measures_as_the_quick_start_does(finished, tmp_path):
    """The same system, recipe, data and seed: the same figures."""
    quick = json.loads((finished / "results.json").read_text())
    validate_results(quick)
    results = ablate(tmp_path / "run", "tiny", (0,), ("early",), data=(finished,))
    figures = results["variants"]["early"]["seeds"]["0"]
    for name in ("story", "fact_read_answer", "lens", "speech_nll", "text_nll_after", "parameters"):
        assert figures[name] == quick["models"]["early"][name]
    assert results["data"]["0"]["text_nll_before"] == quick["models"]["early"]["text_nll_before"]


def test_killed_in_training_and_continued_it_ends_the_same(ablated, finished, tmp_path, smoltolk, command):
    run = tmp_path / "run"
    words = ["ablate", run, "--scale", "tiny", "--seeds", "0", "--variants", "late,early", "--steps", str(STEPS)]
    words += ["--data", finished]
    process = subprocess.Popen([*command, *words])
    deadline = time.monotonic() + 300
    while not (run / "work" / "late-0" / "stage1" / "model").is_dir():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()  # its workers end by themselves
    process.wait()
    done = smoltolk(*words)
    assert done.returncode == 0, done.stderr
    assert without_clock(results_of(run)) == without_clock(results_of(ablated))
    assert not (run / "work").exists() and not list(run.rglob(".tmp-*"))


def test_the_same_command_again_and_a_shorter_one_train_nothing(ablated, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(ablated, run)
    trained = files_of(run / "steps")
    assert ablate(run, "tiny", (0,), ("late", "early"), steps=STEPS) == results_of(ablated)
    assert set(ablate(run, "tiny", (0,), ("late",), steps=STEPS)["variants"]) == {"late", "early"}
    assert files_of(run / "steps") == trained
    shown = capsys.readouterr().err
    assert "2 of 2: kept" in shown and "▸" not in shown


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"steps": STEPS + 1}, "steps = 8; now steps = 9"),
        ({"seeds": (1,)}, "first_seed = 0; now first_seed = 1"),
        ({"rates": (1e-3,)}, r"rates = \[\]; now rates = \[0.001\]"),
        ({"scale": "small"}, "ablation_of = 'tiny'; now"),
    ],
)
def test_other_settings_in_the_same_directory_are_refused(ablated, changes, found):
    given = {"scale": "tiny", "seeds": (0,), "variants": ("late", "early"), "steps": STEPS} | changes
    with pytest.raises(InputError, match=found):
        ablate(ablated, **given)


def test_a_quick_start_is_no_ablation(finished):
    with pytest.raises(InputError, match="ablation_of = None"):
        ablate(finished, "tiny", (0,), ("late",))


@pytest.mark.parametrize(("scale", "seeds"), [("small", (0,)), ("tiny", (1, 2))])
def test_data_of_another_run_is_refused(finished, tmp_path, scale, seeds):
    with pytest.raises(InputError, match="--data is a quick start of scale"):
        ablate(tmp_path / "run", scale, seeds, ("late",), data=(finished,))
    assert not (tmp_path / "run").exists()


def test_data_that_is_not_there_is_told_before_anything_is_made(tmp_path):
    with pytest.raises(NotFoundError, match="--data is the directory of a quick start"):
        ablate(tmp_path / "run", "tiny", (0,), ("late",), data=(tmp_path / "nothing",))
    assert not (tmp_path / "run").exists()


def test_data_that_is_not_whole_is_refused(finished, tmp_path):
    (tmp_path / "half" / "steps").mkdir(parents=True)
    for name in ("run.json", "steps/world.json", "steps/speech.json"):
        shutil.copy(finished / name, tmp_path / "half" / name)
    with pytest.raises(InputError, match="without the steps units, backbone, shards"):
        ablate(tmp_path / "run", "tiny", (0,), ("late",), data=(tmp_path / "half",))


def test_data_stays_where_it_was(ablated, finished, tmp_path):
    run, copy = tmp_path / "run", tmp_path / "copy"
    shutil.copytree(ablated, run)
    shutil.copytree(finished, copy)
    with pytest.raises(InputError, match="keeps its data"):
        ablate(run, "tiny", (0,), ("late",), steps=STEPS, data=(copy,))


def test_data_of_its_own_is_a_quick_start_that_can_go_on(ablated, finished, tmp_path, capsys):
    run, made = tmp_path / "run", tmp_path / "run" / "data" / "0"
    shutil.copytree(ablated, run)
    (run / "steps" / "data-0.json").unlink()
    made.mkdir(parents=True)
    for part in ("speech", "units", "backbone", "shards"):
        (made / part).symlink_to(finished / part)
    shutil.copy(finished / "run.json", made)
    (made / "steps").mkdir()
    for step in ("speech", "units", "backbone", "shards"):
        shutil.copy(finished / "steps" / f"{step}.json", made / "steps")
    results = ablate(run, "tiny", (0,), ("late", "early"), steps=STEPS)
    assert results["data"]["0"]["place"] == "data/0"
    assert (made / "world" / "facts.json").read_bytes() == (finished / "world" / "facts.json").read_bytes()
    assert "▸ World" in capsys.readouterr().err
    moved = run.rename(tmp_path / "moved")
    assert ablate(moved, "tiny", (0,), ("late", "early"), steps=STEPS) == results


@pytest.mark.parametrize(("option", "value"), [("--seeds", "one"), ("--rates", "1e-3;2e-3")])
def test_words_that_are_no_numbers_are_refused(tmp_path, option, value):
    done = CliRunner().invoke(app, ["ablate", str(tmp_path / "run"), option, value])
    assert isinstance(done.exception, InputError) and "numbers with commas" in str(done.exception)
