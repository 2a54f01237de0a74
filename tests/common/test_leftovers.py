"""What a kill leaves behind: temporary files, and workers without a parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from smoltolk.common.files import remove_leftovers

WORK = """
import os, sys, time
from smoltolk.common.workers import parallel_map
if __name__ == "__main__":
    for number, _ in enumerate(parallel_map(time.sleep, [0.05] * 10_000, workers=2)):
        if number == 3:
            import multiprocessing
            print(*(child.pid for child in multiprocessing.active_children()), flush=True)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_files_of_dead_processes_go_and_others_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".tmp-{dead.pid}-a.json").write_text("half")
    (tmp_path / f".tmp-{dead.pid}-parts" / "deep").mkdir(parents=True)
    (tmp_path / f".tmp-{os.getpid()}-b.json").write_text("of an earlier process with this number")
    (tmp_path / f".tmp-{os.getppid()}-c.json").write_text("of one that lives")
    (tmp_path / "d.json").write_text("whole")
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".tmp-{os.getppid()}-c.json", "d.json"]
    remove_leftovers(tmp_path / "nowhere")


def test_files_of_a_zombie_and_of_one_whose_number_passed_on_go(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # dead, and nobody has asked for its exit code
    (tmp_path / f".tmp-{ended.pid}-a.json").write_text("half")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as living:
        for name, age in (("b.json", 0), ("c.json", 3600)):
            path = tmp_path / f".tmp-{living.pid}-{name}"
            path.write_text("half")
            os.utime(path, (time.time() - age, time.time() - age))
        remove_leftovers(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [f".tmp-{living.pid}-b.json"]
        living.kill()
    ended.wait()


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "work.py"
    script.write_text(WORK)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    children = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(children) == 2 and all(alive(child) for child in children)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while any(alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(child) for child in children)


def test_only_named_files_go_where_a_directory_is_shared(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet", "a.parquet.part"):
        (tmp_path / f".tmp-999999999-{name}").write_text("half")
    remove_leftovers(tmp_path, ["a.parquet", "c.parquet"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".tmp-999999999-a.parquet.part",
        ".tmp-999999999-b.parquet",
    ]
    remove_leftovers(tmp_path / "nowhere", ["a.parquet"])
