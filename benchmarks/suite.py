"""Every task and every layer figure on the three systems of a finished quick start, and one page of it all.

    python benchmarks/suite.py QUICKSTART OUT [--items 40]

Small sets in the official layouts are made of the quick start's world and spoken by its voices (`smoltolk sets`); all
tasks of `smoltolk evaluate` are asked of each system, `smoltolk analyse` looks inside all three, and `smoltolk report`
writes OUT/page.html. Each command runs in a process of its own, one after the other; what it took is printed, seconds
by the clock and of the processor. What is there is kept, so the second time there is little to do.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from smoltolk.common.files import read_json
from smoltolk.evaluation.sets.writing import NAMES
from smoltolk.quickstart.scales import scale_named

SYSTEMS = ("late", "early", "early_plus")


def run(name: str, *arguments: object) -> tuple[float, float]:
    """Run a verb; seconds by the clock and of the processor, its children's among them."""
    command = [sys.executable, "-c", "from smoltolk.cli import main; main()", *map(str, arguments)]
    before, start = os.times(), time.monotonic()
    done = subprocess.run(command, check=False)
    after = os.times()
    if done.returncode:
        raise SystemExit(f"{name} failed: smoltolk {' '.join(map(str, arguments))}")
    used = after.children_user - before.children_user + after.children_system - before.children_system
    return time.monotonic() - start, used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quickstart", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--items", type=int, default=40)
    asked = parser.parse_args()
    made, out = asked.quickstart, asked.out
    settings = read_json(made / "run.json")
    scale = scale_named(settings["scale"])
    sizes = ("--seed", settings["seed"], "--people", scale.num_people, "--voices", scale.num_voices)
    models = [made / "models" / system for system in SYSTEMS]
    took = {"sets": run("sets", "sets", out / "sets", *sizes, "--items", asked.items)}
    data = ("--data", out / "sets", "--data", f"text={out / 'sets' / 'text'}", "--units", made / "units")
    world = ("--questions", made / "world", "--shards", made / "shards" / "cloze")
    for system, model in zip(SYSTEMS, models, strict=True):
        spoken = ("--vocoder", made / "vocoder", "--before", made / "backbone", "--out", out / system)
        took[f"evaluate {system}"] = run("evaluate", "evaluate", model, *NAMES, "world", *data, *world, *spoken)
    inside = ("--shards", made / "shards" / "test", "--corpus", made / "speech" / "test", "--out", out / "inside")
    took["analyse"] = run("analyse", "analyse", *models, *inside)
    runs = [*(out / system for system in SYSTEMS), out / "inside", *models]
    page = ("--out", out / "page.html", "--markdown", out / "page.md")
    took["report"] = run("report", "report", *runs, *page)
    for name, (seconds, used) in took.items():
        print(f"{name:24}{seconds:8.1f} s{used:8.1f} s of the processor")
    seconds, used = (sum(column) for column in zip(*took.values(), strict=True))
    print(f"{'in all':24}{seconds:8.1f} s{used:8.1f} s of the processor")


if __name__ == "__main__":
    main()
