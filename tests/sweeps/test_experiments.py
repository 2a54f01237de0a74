"""Every file in ``experiments/`` is a question that can be asked, and stands in the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from smoltolk.sweeps.experiment import Experiment
from smoltolk.sweeps.trials import trials_of
from smoltolk.training.recipes.sources import made_by

FOLDER = Path(__file__).parents[2] / "experiments"
FILES = sorted(path.name for path in FOLDER.glob("*.py"))
# Others are programs of their own.
ASKED = [name for name in FILES if "def experiment()" in (FOLDER / name).read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", ASKED)
def test_it_can_be_asked(name: str) -> None:
    made = made_by(f"{FOLDER / name}:experiment")
    assert isinstance(made, Experiment) and made.question.endswith("?")
    names = [trial.name for trial in trials_of(made)]
    assert len(set(names)) == len(names) == len(made.all_arms) * len(made.seeds)


def test_the_table_has_them_all() -> None:
    table = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert sorted(row.split("`")[1] for row in rows) == FILES
    for name, row in zip(FILES, sorted(rows), strict=True):
        assert name not in ASKED or made_by(f"{FOLDER / name}:experiment").question in row
