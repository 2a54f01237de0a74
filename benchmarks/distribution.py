"""Wheel and sdist: built, installed into clean environments, and tried there.

    python benchmarks/distribution.py python3.11 python3.12 python3.13

Each Python gets an environment of its own in a temporary directory, with the extra `offline`; the wheel that the sdist
builds must hold the same files as the wheel. Some minutes and, with torch for CUDA, some gigabytes each.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
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
        list(map(str, command)), cwd=place, env=environment | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
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


def try_one(interpreter: str, wheel: Path, sdist: Path, place: Path) -> None:
    """Install the wheel, try everything, then the sdist over it, and import again."""
    begin = time.perf_counter()
    run(interpreter, "-m", "venv", place / "venv", place=place)
    binaries = place / "venv" / "bin"
    python = binaries / "python"
    version = run(python, "-c", "import platform; print(platform.python_version())", place=place)
    # The pinned torch is there for one Python only; the others take what the index has.
    pinned = ["-c", str(CONSTRAINTS)] if version.startswith("3.11.") else []
    run(python, "-m", "pip", "install", "--quiet", "--no-compile", *pinned, f"{wheel}[offline]", place=place)
    torch = run(
        python, "-c", "import torch, transformers; print(torch.__version__, transformers.__version__)", place=place
    )
    print(f"Python {version}: installed in {time.perf_counter() - begin:.0f} s, torch and transformers {torch}")
    print(f"  {run(python, '-c', IMPORTS, place=place)}")
    for verb in VERBS:
        started = time.perf_counter()
        run(binaries / "smoltolk", *verb.split(), place=place)
        print(f"  smoltolk {verb}: {time.perf_counter() - started:.1f} s")
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", sdist, place=place)
    print(f"  from the sdist: {run(python, '-c', IMPORTS, place=place)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs="+", help="interpreters, e.g. python3.12")
    pythons = parser.parse_args().pythons
    with tempfile.TemporaryDirectory() as place:
        wheel, sdist = build(Path(place))
        for interpreter in pythons:
            with tempfile.TemporaryDirectory(dir=place) as own:
                try_one(interpreter, wheel, sdist, Path(own))
                print(f"{interpreter}: passed")


if __name__ == "__main__":
    main()
