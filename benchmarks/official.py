"""Our sWUGGY and sBLIMP beside the official scorer's, on a tiny set without sound.

    make official

Needs a Python with zerospeech-benchmarks 0.9.4 (GPL, in an environment of its own: pydantic below 2, pandas below 3),
named by --scorer. The set is made of a seed: tables as they were published, with likelihoods of several voices and some
ties. Our submission goes to ``zrc benchmarks:run sLM21``, and its figures must equal ours to 5e-5; --freeze writes them
to tests/evaluation/tasks/official.json, where a unit test holds ours against them.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FROZEN = ROOT / "tests" / "evaluation" / "tasks" / "official.json"
sys.path.insert(0, str(ROOT / "tests" / "evaluation" / "tasks"))

from test_official import COLUMNS, figures, rows_of, submit  # noqa: E402

_REPO = {
    "last_modified": "2020-01-01T00:00:00",
    "datasets": [
        {"name": "sLM21-dataset", "type": "internal", "zip_url": "https://example.invalid/x.zip", "md5sum": "0",
         "total_size": 1}
    ],
    "checkpoints": [], "samples": [],
}  # fmt: skip


def prepare(place: Path) -> Path:
    """The scorer's own folder, so that it asks no network, with the tables of the tiny set."""
    data = place / "datasets" / "sLM21-dataset"
    data.mkdir(parents=True)
    index = place / "repo.json"
    index.write_text(json.dumps(_REPO))
    old = time.time() - 20 * 86400
    os.utime(index, (old, old))
    subsets: dict[str, Any] = {}
    for subset in ("lexical", "syntactic"):
        rows = rows_of(subset)
        folder = data / subset / "dev"
        folder.mkdir(parents=True)
        with (folder / "gold.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS[subset])
            writer.writeheader()
            writer.writerows(rows)
        names = [f"{subset}/dev/{row['filename']}.wav" for row in rows]
        wavs = {"item_type": "filelist_item", "file_type": "wav", "relative_path": True, "files_list": names}
        gold = {
            "item_type": "file_item", "file_type": "csv", "relative_path": True, "file": f"{subset}/dev/gold.csv"
        }  # fmt: skip
        subsets[f"{subset}_dev"] = {"items": {"wav_list": wavs, "gold": gold}}
    (data / "index.json").write_text(json.dumps({"subsets": subsets}))
    return data


def official(scorer: Path, place: Path) -> dict[str, Any]:
    """What the official scorer makes of our submission."""
    prepare(place)
    submission = submit(place / "submission")
    (submission / "meta.yaml").write_text(
        "model_info:\n  model_id: null\n  system_description: tiny\n  train_set: none\n  gpu_budget: none\n"
        "publication:\n  author_label: tiny\n  authors: tiny\n  institution: none\n  team: none\n"
        "  paper_title: none\n  paper_url: none\n  publication_year: 2021\n  bib_reference: none\n  DOI: none\n"
        "open_source: true\n"
    )
    command = [
        scorer.parent / "zrc", "benchmarks:run", "sLM21", submission, "-s", "dev", "-t", "lexical", "syntactic"
    ]  # fmt: skip
    done = subprocess.run(command, env=os.environ | {"APP_DIR": str(place)}, capture_output=True, text=True)
    scores = submission / "scores"
    if done.returncode or not (scores / "score_syntactic_dev_by_type.csv").is_file():
        raise SystemExit(f"zrc failed\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")

    def table(name: str) -> list[dict[str, str]]:
        with (scores / f"score_{name}.csv").open() as file:
            return list(csv.DictReader(file))

    def mean(rows: list[dict[str, str]]) -> float:
        return sum(float(row["score"]) for row in rows) / len(rows)

    frequency = table("lexical_dev_by_frequency")
    known = [row for row in frequency if row["frequency"] != "oov"]
    counts = [int(row["n"]) for row in known]
    inside = sum(count * float(row["score"]) for count, row in zip(counts, known, strict=True)) / sum(counts)
    return {
        "swuggy": mean(table("lexical_dev_by_pair")),
        "swuggy_in_vocabulary": inside,
        "sblimp_by_pair": mean(table("syntactic_dev_by_pair")),
        "sblimp": mean(table("syntactic_dev_by_type")),
        "by_frequency": {row["frequency"]: float(row["score"]) for row in frequency},
        "by_length": {row["length"]: float(row["score"]) for row in table("lexical_dev_by_length")},
        "by_type": {row["type"]: float(row["score"]) for row in table("syntactic_dev_by_type")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scorer", type=Path, required=True, help="python with zerospeech-benchmarks")
    parser.add_argument("--freeze", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        theirs = official(asked.scorer.absolute(), Path(place))
    ours = figures()
    worst = 0.0
    for name, value in theirs.items():
        pairs = (
            [(f"{name} {key}", ours[name][key], one) for key, one in value.items()]
            if isinstance(value, dict) else [(name, ours[name], value)]
        )  # fmt: skip
        for label, own, other in pairs:
            print(f"{label:40} ours {own:.6f}   official {other:.6f}")
            worst = max(worst, abs(own - other))
    print(f"largest difference {worst:.2g}")
    if asked.freeze:
        FROZEN.write_text(json.dumps(theirs, indent=2, sort_keys=True) + "\n")
    if worst > 5e-5:
        raise SystemExit("they differ by more than 5e-5")


if __name__ == "__main__":
    main()
