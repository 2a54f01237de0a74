"""Which small faults no test sees: mutants drawn by a seed, each tried against the tests of its room.

    pip install cosmic-ray
    python benchmarks/mutants.py WORK [--seed 0] [--mutants 320] [--workers 2]

cosmic-ray makes the mutants of model/, training/, evaluation/scoring.py and data/rows/; some are drawn, whatever lies
in annotations is passed over, and each runs against the mirrored tests first, then against those of its room, in a fork
of a process that has torch and transformers loaded already. The same command goes on where it was stopped. At its end
stands a table, and in WORK/survivors.md every mutant that no test killed. Not for CI: an hour or more.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("model/**/*.py", "training/*.py", "evaluation/scoring.py", "data/rows/*.py")
TIMEOUT = 300.0  # seconds of one mutant's tests
# What tests a room as a whole, behind the mirrored file.
ROOMS = {
    "model": ["tests/model/test_modeling.py"],
    "model/codec": ["tests/model/codec", "tests/model/test_modeling.py"],
    "model/generation": ["tests/model/generation"],
    "model/interop": ["tests/model/interop", "tests/training/test_checkpoints.py"],
    "model/text_models": ["tests/model/text_models"],
    "training": ["tests/training"],
    "evaluation": ["tests/evaluation/test_cloze.py", "tests/evaluation/test_nll.py"],
    "data/rows": ["tests/data/rows"],
}


def tests_of(module: Path) -> list[str]:
    """Test files of a module below src/smoltolk: the mirrored one, then those of its room."""
    room = str(module.parent)
    mirrored = Path("tests", module.parent, f"test_{module.name}")
    more = ["tests/model/test_modeling.py"] if room.startswith("model/") else []
    wanted = [str(mirrored), *ROOMS[room], *more]
    return [one for one in dict.fromkeys(wanted) if (ROOT / one).exists()]


# ---------------------------------------------------------------------- a process that forks


def serve(place: str) -> None:
    """Wait for test runs and fork for each: what takes long to load is loaded once."""
    import datasets  # noqa: F401
    import hypothesis  # noqa: F401
    import peft  # noqa: F401
    import pytest
    import sklearn.cluster  # noqa: F401
    import torch
    import transformers  # noqa: F401
    from transformers import LlamaForCausalLM, Trainer  # noqa: F401

    sys.dont_write_bytecode = True
    torch.set_num_threads(1)
    Path(place).unlink(missing_ok=True)  # of a run that was stopped
    server = socket.socket(socket.AF_UNIX)
    server.bind(place)
    server.listen()
    while True:
        asked, _ = server.accept()
        request = json.loads(asked.recv(65536))
        child = os.fork()
        if child == 0:
            os.setsid()
            os.chdir(request["folder"])
            os.environ["PYTHONPATH"] = f"{request['folder']}/src"
            sys.path.insert(0, f"{request['folder']}/src")
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            plain = [
                "-o",
                "addopts=",
                "--import-mode=importlib",
                "-p",
                "no:xdist",
                "-p",
                "no:cacheprovider",
                "-x",
                "-q",
            ]
            os._exit(int(pytest.main([*plain, *request["tests"]])))
        code = _wait(child, time.monotonic() + TIMEOUT)
        asked.sendall(str(code).encode())
        asked.close()


def _wait(child: int, until: float) -> int:
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(child, 9)
    os.waitpid(child, 0)
    return 124


def ask(place: str, folder: str, tests: list[str]) -> int:
    """Exit status of tests, 0 if they pass; what cosmic-ray calls."""
    with socket.socket(socket.AF_UNIX) as server:
        while server.connect_ex(place):  # a server that is not there must not count as a mutant that was killed
            time.sleep(1)
        server.sendall(json.dumps({"folder": folder, "tests": tests}).encode())
        answer = server.recv(64)
    if not answer:  # the server died: cosmic-ray must not note down a mutant as killed
        os.kill(os.getppid(), signal.SIGKILL)
    return int(answer or 1)


# ---------------------------------------------------------------------- mutants


def annotations(path: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations stand: with `from __future__ import annotations` a fault there is none."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(part, ast.expr):
                found.append(((part.lineno, part.col_offset), (part.end_lineno or 0, part.end_col_offset or 0)))
    return found


def draw(work: Path, seed: int, number: int) -> None:
    """Make all mutants, draw some, and leave a session of cosmic-ray for each module."""
    modules = sorted({path.relative_to(ROOT) for glob in SOURCES for path in (ROOT / "src/smoltolk").glob(glob)})
    modules = [path for path in modules if path.name != "__init__.py"]
    every: list[tuple[Path, str]] = []
    for module in modules:
        session = work / "sessions" / f"{'.'.join(module.with_suffix('').parts[2:])}.sqlite"
        session.parent.mkdir(parents=True, exist_ok=True)
        settings = session.with_suffix(".toml")
        settings.write_text(
            f'[cosmic-ray]\nmodule-path = "{module}"\ntimeout = {TIMEOUT + 30}\nexcluded-modules = []\n'
            f'test-command = "{sys.executable} {Path(__file__).resolve()} --ask {work}/server '
            f'{" ".join(tests_of(module.relative_to("src/smoltolk")))}"\n[cosmic-ray.distributor]\nname = "local"\n'
        )
        subprocess.run([_tool(), "init", str(settings), str(session), "--force"], cwd=ROOT, check=True)
        spans = annotations(ROOT / module)
        with sqlite3.connect(session) as held:
            rows = held.execute("select job_id, start_pos_row, start_pos_col from mutation_specs").fetchall()
        every += [(session, job) for job, row, col in rows if not any(a <= (row, col) < b for a, b in spans)]
    drawn = set(random.Random(seed).sample(sorted(every), min(number, len(every))))
    for session in sorted((work / "sessions").glob("*.sqlite")):
        with sqlite3.connect(session) as held:
            for (job,) in held.execute("select job_id from work_items").fetchall():
                if (session, job) not in drawn:
                    held.execute("delete from mutation_specs where job_id = ?", (job,))
                    held.execute("delete from work_items where job_id = ?", (job,))
    (work / "drawn.json").write_text(json.dumps({"seed": seed, "of": len(every), "drawn": len(drawn)}))


def _tool() -> str:
    beside = Path(sys.executable).with_name("cosmic-ray")
    found = str(beside) if beside.exists() else shutil.which("cosmic-ray")
    if found is None:
        sys.exit("cosmic-ray is not installed: pip install cosmic-ray")
    return found


def left(session: Path) -> int:
    """Mutants of a session that have not been tried."""
    with sqlite3.connect(session) as held:
        return held.execute(
            "select count(*) from work_items where job_id not in (select job_id from work_results)"
        ).fetchone()[0]


def run(work: Path, workers: int) -> None:
    """Try what is left, each worker in a clone of its own, since cosmic-ray changes the files."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""}
    place = work / "server"
    for number in range(workers):
        Path(f"{place}{number}").unlink(missing_ok=True)
    server = [
        subprocess.Popen([sys.executable, __file__, "--serve", f"{place}{n}"], env=environment) for n in range(workers)
    ]
    waiting = sorted((s for s in (work / "sessions").glob("*.sqlite") if left(s)), key=lambda s: (-left(s), s))
    total, running = sum(map(left, waiting)), {}
    free = list(range(workers))
    for number in free:
        folder = work / f"clone{number}"
        if not folder.exists():
            subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        subprocess.run(["git", "checkout", "-q", "."], cwd=folder, check=True)
        while not Path(f"{place}{number}").exists():
            time.sleep(0.2)
    try:
        while waiting or running:
            while free and waiting:
                number, session = free.pop(), waiting.pop(0)
                command = [_tool(), "exec", str(session.with_suffix(".toml")), str(session)]
                environment["SMOLTOLK_MUTANTS"] = str(number)
                running[number] = subprocess.Popen(command, cwd=work / f"clone{number}", env=dict(environment))
            for number in [n for n, process in running.items() if process.poll() is not None]:
                running.pop(number)
                subprocess.run(["git", "checkout", "-q", "."], cwd=work / f"clone{number}", check=True)
                free.append(number)
            done = total - sum(map(left, (work / "sessions").glob("*.sqlite")))
            print(f"\r{done} of {total} mutants", end="", file=sys.stderr, flush=True)
            time.sleep(2)
    finally:
        for process in (*server, *running.values()):
            process.terminate()
            process.wait()
            print(file=sys.stderr)


def report(work: Path) -> None:
    """Print the table and write the survivors."""
    totals: dict[str, Counter[str]] = {}
    survivors = []
    for session in sorted((work / "sessions").glob("*.sqlite")):
        with sqlite3.connect(session) as held:
            rows = held.execute(
                "select module_path, start_pos_row, operator_name, definition_name, test_outcome, diff"
                " from work_results join mutation_specs using (job_id) order by start_pos_row"
            ).fetchall()
        for module, line, operator, where, outcome, diff in rows:
            totals.setdefault(session.stem, Counter())[outcome.lower()] += 1
            if outcome.lower() == "survived":
                survivors.append(
                    f"## {module}:{line} ({where}, {operator.removeprefix('core/')})\n\n```diff\n{diff}\n```\n"
                )
    outcomes = Counter[str]()
    for module, counts in totals.items():
        outcomes += counts
        print(
            f"{module:45} {counts['killed']:4} killed {counts['survived']:4} survived {counts['incompetent']:4} broken"
        )
    (work / "survivors.md").write_text("\n".join(survivors))
    drawn = json.loads((work / "drawn.json").read_text())
    print(f"{drawn['drawn']} of {drawn['of']} mutants, seed {drawn['seed']}: {dict(outcomes)}; {work / 'survivors.md'}")


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        return serve(sys.argv[2])
    if sys.argv[1:2] == ["--ask"]:
        sys.exit(ask(sys.argv[2] + os.environ["SMOLTOLK_MUTANTS"], str(Path.cwd()), sys.argv[3:]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="where sessions and clones lie")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--mutants", type=int, default=320, help="how many are drawn")
    parser.add_argument("--workers", type=int, default=2, help="processes that test at a time")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    if not (work / "drawn.json").exists():
        draw(work, arguments.seed, arguments.mutants)
    run(work, arguments.workers)
    report(work)
    return None


if __name__ == "__main__":
    main()
