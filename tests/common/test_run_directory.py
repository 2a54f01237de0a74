"""A run directory holds one run, finished steps stay finished, and a dead worker is told plainly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smoltolk.common import stopping
from smoltolk.common.errors import InputError, WorkerError
from smoltolk.common.files import read_json
from smoltolk.common.run_directory import Job, RunDirectory

SETTINGS = {"scale": "tiny", "seed": 0, "text_model": None}


def write_number(path: Path, report) -> dict:
    report(1, "half way")
    path.write_text(f"{os.getpid()}")
    return {"written": path.name}


def die(report) -> dict:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def linger(path: Path, report) -> dict:
    path.write_text("begun")
    time.sleep(600)
    return {}


def train(path: Path, report) -> dict:
    with stopping.patient("ends soon"):
        path.write_text("begun")
        while not stopping.asked():
            time.sleep(0.05)
        time.sleep(2)  # a checkpoint
        path.write_text("kept")
        raise stopping.Stopped(stopping.asked())


def refuse(report) -> dict:
    raise InputError("a rule", "what was found", "the fix")


def test_a_step_runs_once_and_its_figures_are_kept(tmp_path):
    calls = []
    for _ in range(2):
        run = RunDirectory(tmp_path / "run", SETTINGS)
        assert run.step("count", "Count", lambda: calls.append(1) or {"n": 3}) == {"n": 3}
    assert calls == [1]
    assert set(run.seconds()) == {"count"}


def test_a_step_that_fails_is_not_done(tmp_path):
    run = RunDirectory(tmp_path / "run", SETTINGS)
    with pytest.raises(ZeroDivisionError):
        run.step("bad", "Bad", lambda: {"n": 1 / 0})
    assert not run.done("bad")


def test_jobs_run_in_order_of_their_needs_and_a_second_run_keeps_them(tmp_path):
    run = RunDirectory(tmp_path / "run", SETTINGS)
    jobs = [
        Job("b", "B", 2, write_number, (tmp_path / "b",), after=("a",)),
        Job("a", "A", 2, write_number, (tmp_path / "a",)),
    ]
    assert run.side_by_side(jobs) == {"a": {"written": "a"}, "b": {"written": "b"}}
    assert (tmp_path / "a").stat().st_mtime_ns <= (tmp_path / "b").stat().st_mtime_ns
    before = (tmp_path / "a").read_text()
    assert before != str(os.getpid())
    run.side_by_side(jobs)
    assert (tmp_path / "a").read_text() == before
    assert list((run.path / "steps").glob(".*")) == []


def test_of_jobs_that_may_begin_the_first_of_the_list_does(tmp_path, monkeypatch):
    monkeypatch.setattr("smoltolk.common.run_directory.num_cpus", lambda: 1)
    run, ended = RunDirectory(tmp_path / "run", SETTINGS), []
    jobs = [
        Job("first", "First", 2, write_number, (tmp_path / "first",)),
        Job("second", "Second", 2, write_number, (tmp_path / "second",), after=("first",)),
        Job("third", "Third", 2, write_number, (tmp_path / "third",)),
    ]
    run.side_by_side(jobs, finished=lambda job: ended.append((job.name, run.done(job.name))))
    assert ended == [("first", True), ("second", True), ("third", True)]


def test_many_jobs_are_told_of_together(tmp_path, capsys):
    run = RunDirectory(tmp_path / "run", SETTINGS)
    jobs = [Job(name, name.upper(), 2, write_number, (tmp_path / name,)) for name in ("a", "b")]
    run.side_by_side(jobs[:1])
    assert "▸ A" in capsys.readouterr().err
    run.side_by_side(jobs, title="Two trainings")
    shown = capsys.readouterr().err
    assert "Two trainings: 1 of 2: kept" in shown and "▸ Two trainings" in shown and "▸ B" not in shown


def test_a_stopped_run_waits_for_checkpoints_of_its_workers_alone(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "import test_run_directory as here\n"
        "if __name__ == '__main__':\n"
        "    out = Path(sys.argv[1])\n"
        "    jobs = [here.Job(one.__name__, 'A', 1, one, (out / one.__name__,)) for one in (here.train, here.linger)]\n"
        "    here.stopping.GRACE_SECONDS = 1.0\n"
        "    with here.stopping.listening():\n"
        "        try:\n"
        "            here.RunDirectory(out / 'run', here.SETTINGS).side_by_side(jobs)\n"
        "        except here.stopping.Stopped as stopped:\n"
        "            here.stopping.leave(stopped.code)\n"
    )
    known = {**os.environ, "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning"}  # as the command line sets it
    parent = subprocess.Popen([sys.executable, script, tmp_path], stderr=subprocess.PIPE, text=True, env=known)
    deadline = time.monotonic() + 120
    while not all((tmp_path / name).is_file() for name in ("train", "linger")):
        assert parent.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    parent.send_signal(signal.SIGINT)
    _, said = parent.communicate(timeout=60)
    assert parent.returncode == 130 and said.splitlines()[-1] == stopping.CONTINUES, said
    assert said.count("ends when what trains has written a checkpoint") == 1 and "ends soon" not in said
    assert (tmp_path / "train").read_text() == "kept" and "Traceback" not in said, said


def test_workers_end_with_a_killed_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from test_run_directory import SETTINGS, Job, RunDirectory, linger\n"
        "if __name__ == '__main__':\n"
        "    out, told = map(Path, sys.argv[1:])\n"
        "    RunDirectory(out, SETTINGS).side_by_side([Job('a', 'A', 1, linger, (told,))])\n"
    )
    parent = subprocess.Popen([sys.executable, script, tmp_path / "run", tmp_path / "told"], stdout=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (tmp_path / "told").is_file():
        assert parent.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    parent.kill()
    parent.communicate(timeout=60)  # returns when nobody holds the other end of the pipe


def test_a_killed_worker_is_told_and_finished_steps_are_kept(tmp_path):
    run = RunDirectory(tmp_path / "run", SETTINGS)
    good = Job("good", "Good", 1, write_number, (tmp_path / "a",))
    run.side_by_side([good])
    with pytest.raises(WorkerError, match="killed or crashed"):
        run.side_by_side([good, Job("dead", "Dead", 1, die, ())])
    assert run.done("good") and not run.done("dead")


def test_who_fails_is_told_of_and_the_others_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr("smoltolk.common.run_directory.num_cpus", lambda: 1)
    run, failed = RunDirectory(tmp_path / "run", SETTINGS), {}
    jobs = [
        Job("dead", "Dead", 1, die, ()),
        Job("after", "After", 1, write_number, (tmp_path / "after",), after=("dead",)),
        Job("last", "Last", 1, write_number, (tmp_path / "last",), after=("after",)),
        Job("bad", "Bad", 1, refuse, ()),
        Job("good", "Good", 1, write_number, (tmp_path / "good",)),
    ]
    figures = run.side_by_side(jobs, failed=lambda job, error: failed.update({job.name: error}))
    assert figures == {"good": {"written": "good"}}
    assert isinstance(failed.pop("dead"), WorkerError) and isinstance(failed.pop("bad"), InputError) and not failed


def test_an_error_keeps_its_rule_on_the_way_from_a_worker(tmp_path):
    run = RunDirectory(tmp_path / "run", SETTINGS)
    with pytest.raises(InputError) as caught:
        run.side_by_side([Job("bad", "Bad", 1, refuse, ())])
    assert (caught.value.rule, caught.value.found, caught.value.fix) == ("a rule", "what was found", "the fix")


def test_another_run_in_the_directory_is_refused(tmp_path):
    RunDirectory(tmp_path, SETTINGS)
    with pytest.raises(InputError, match=r"(?s)seed = 0.*now seed = 1.*another --out"):
        RunDirectory(tmp_path, {**SETTINGS, "seed": 1})


def test_a_directory_with_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        RunDirectory(tmp_path, SETTINGS)


def test_temporary_files_of_dead_writers_are_removed_and_others_kept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    RunDirectory(tmp_path, SETTINGS)
    (tmp_path / f".tmp-{dead.pid}-half").mkdir()
    (tmp_path / f".tmp-{os.getppid()}-mine").mkdir()
    RunDirectory(tmp_path, SETTINGS)
    assert not (tmp_path / f".tmp-{dead.pid}-half").exists()
    assert (tmp_path / f".tmp-{os.getppid()}-mine").exists()


def test_settings_are_written_down(tmp_path):
    RunDirectory(tmp_path / "new", SETTINGS)
    assert read_json(tmp_path / "new" / "run.json") == SETTINGS


def seen(report) -> dict:
    time.sleep(0.3)  # so that one process seldom does all
    return {"gpu": os.environ.get("CUDA_VISIBLE_DEVICES"), "process": os.getpid()}


def test_each_process_sees_a_gpu_of_its_own(tmp_path):
    jobs = [Job(f"job{number}", f"Job {number}", 1, seen, ()) for number in range(4)]
    figures = list(RunDirectory(tmp_path, SETTINGS).side_by_side(jobs, gpus=["3", "5"]).values())
    by_process = dict((one["process"], one["gpu"]) for one in figures)
    assert all(by_process[one["process"]] == one["gpu"] for one in figures)
    assert set(by_process.values()) <= {"3", "5"} and len(set(by_process.values())) == len(by_process)
