"""Wheel and sdist: built, installed into clean environments, and tried there.

    python benchmarks/distribution.py python3.12 python3.13
    python benchmarks/distribution.py python3.11 --constraint constraints.txt --whole-sdist

Each Python gets an environment of its own in a temporary directory, with the extra `offline`; the wheel that the sdist
builds must hold the same files as the wheel. Some minutes each. By itself pip takes the newest releases that the
package allows, as a user's would: of torch that is a build for CUDA, 5 GB in the environment. `--constraint` hands pip
a file of versions, e.g. the one that the tests passed with; where the index has a CPU build of its torch, 1 GB is
enough.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What a new user would do first, on what the package brings itself.
VERBS = (
    "--version",
    "world world --people 12 --stories 6 --questions 2",
    "speak world/spoken.jsonl speech --voices 2",
    "corpus validate speech",
    "units fit speech units --steps 3",
    "vocoder fit speech units vocoder --steps 3",
    "prepare speech units shards",
    "shards validate shards --units units",
    "inspect shards",
    "backbone world/text.txt text-model --steps 2",
    "train text-model shards model --preset small --steps 4 --rows-per-step 2",
    "bundle make model units vocoder bundle",
    "continue bundle --text Meet --to text",
    "say bundle Meet --out meet.wav",
    "hear bundle meet.wav",
)
IMPORTS = """
import importlib, pkgutil, time
begin = time.perf_counter()
import smoltolk
took = time.perf_counter() - begin
names = [one.name for one in pkgutil.walk_packages(smoltolk.__path__, "smoltolk.") if not one.name.endswith("__main__")]
from smoltolk.common.errors import MissingExtraError
need_more = []
for name in names:
    try:
        importlib.import_module(name)
    except MissingExtraError:
        need_more.append(name)
for name in smoltolk.__all__:
    getattr(smoltolk, name)
print(f"{1000 * took:.1f} ms to import smoltolk, {len(names)} modules, {smoltolk.__file__}")
rooms = sorted({".".join(name.split(".")[:2]) for name in need_more})
print(f"  {len(need_more)} say which extra they need: {', '.join(rooms)}")
"""


def run(*command: str | Path, place: Path) -> str:
    """What a command prints; its errors end the check."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        list(map(str, command)),
        cwd=place,
        env=environment | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{textwrap.indent(done.stdout + done.stderr, '  ')}")
    return done.stdout.strip()


def build(place: Path) -> tuple[Path, Path]:
    """Wheel and sdist, each from the sources; the wheel out of the sdist holds the same."""
    run(sys.executable, "-m", "venv", place / "builder", place=place)
    python = place / "builder" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "build", place=place)
    run(python, "-m", "build", "--wheel", "--outdir", place / "wheel", ROOT, place=place)
    run(python, "-m", "build", "--sdist", "--outdir", place / "sdist", ROOT, place=place)
    (wheel,), (sdist,) = (place / "wheel").iterdir(), (place / "sdist").iterdir()
    run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", place / "again", sdist, place=place)
    (again,) = (place / "again").iterdir()
    files = [sorted(zipfile.ZipFile(one).namelist()) for one in (wheel, again)]
    if files[0] != files[1]:
        sys.exit(f"wheel and sdist differ: {sorted(set(files[0]) ^ set(files[1]))}")
    print(f"{wheel.name}: {wheel.stat().st_size:,} bytes, {len(files[0])} files")
    print(f"{sdist.name}: {sdist.stat().st_size:,} bytes")
    return wheel, sdist


def try_one(
    interpreter: str, wheel: Path, sdist: Path, place: Path, constraint: Path | None = None, whole_sdist: bool = False
) -> None:
    """Install the wheel, try everything, then the sdist over it, and import again; or try everything again."""
    begin = time.perf_counter()
    run(interpreter, "-m", "venv", place / "venv", place=place)
    python = place / "venv" / "bin" / "python"
    version = run(python, "-c", "import platform; print(platform.python_version())", place=place)
    constraints = [] if constraint is None else ["-c", constraint]
    run(python, "-m", "pip", "install", "--quiet", "--no-compile", *constraints, f"{wheel}[offline]", place=place)
    found = run(
        python, "-c", "import torch, transformers; print(torch.__version__, transformers.__version__)", place=place
    )
    print(f"Python {version}: installed in {time.perf_counter() - begin:.0f} s, torch and transformers {found}")
    go_through(python, place / "of-wheel")
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", sdist, place=place)
    print("  from the sdist:")
    go_through(python, place / "of-sdist", VERBS if whole_sdist else ())


def go_through(python: Path, place: Path, verbs: Sequence[str] = VERBS) -> None:
    """Import every module, then call the verbs, in a directory of their own."""
    place.mkdir()
    print(f"  {run(python, '-c', IMPORTS, place=place)}")
    for verb in verbs:
        started = time.perf_counter()
        run(python.with_name("smoltolk"), *verb.split(), place=place)
        print(f"  smoltolk {verb}: {time.perf_counter() - started:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="+", help="interpreters, e.g. python3.12")
    parser.add_argument("--constraint", type=Path, help="versions that pip has to take")
    parser.add_argument("--whole-sdist", action="store_true", help="all verbs from the sdist, too")
    given = parser.parse_args()
    constraint = given.constraint and given.constraint.resolve(strict=True)
    with tempfile.TemporaryDirectory() as place:
        wheel, sdist = build(Path(place))
        for interpreter in given.pythons:
            with tempfile.TemporaryDirectory(dir=place) as own:
                try_one(interpreter, wheel, sdist, Path(own), constraint, given.whole_sdist)
                print(f"{interpreter}: passed", flush=True)


if __name__ == "__main__":
    main()
