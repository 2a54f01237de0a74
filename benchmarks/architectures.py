"""Which architectures of transformers a SmolTolk model can be put around, and how: writes docs/architectures.md.

    python benchmarks/architectures.py

Each causal architecture of the installed transformers is built tiny (``tests/model/text_models/tiny.py``); the tests
hold what is written here against what they find.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import transformers
from rich.progress import track
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.assembly import own_text_model
from smoltolk.model.text_models.layers import with_new_layers
from smoltolk.model.text_models.positions import longest_row

_ROOT = Path(__file__).resolve().parents[1]
TABLE = _ROOT / "docs/architectures.md"
NUM_UNITS = 20
_HEAD = """\
# Text models

Written by `python benchmarks/architectures.py` from transformers {version}, and held against what is found by
`tests/model/text_models/test_architectures.py`. Every architecture that `AutoModelForCausalLM` knows is built tiny from
its default configuration, with layers of each kind that it has. {supported} of {total} work, without a line of code for
any of them: decoding in chunks from a cache, padding at either end, packed documents, the text model's own logits,
saving and loading, and adapters made of its blocks are right there as everywhere. A setting that is not the default is
tried when a model is made: what does not work is refused then, with the rule that it breaks.

- *packed*: documents of a row are told apart by positions that restart, as transformers does it. *side by side*: the
  architecture does not keep them apart, so each is computed as a row of its own: right, and slower to train.
- *a table*: positions are looked up, so no row may be longer than the table; elsewhere they are computed.
- *new layers* (`new_layers`, the early_plus baseline): *anywhere*, or only *behind the last* where what a block is or
  does follows from its number; *nowhere* where it follows from how many there are.
- Padding in the middle of a row counts where an architecture counts columns: in sliding windows, in ALiBi and in the
  states of hybrids, as it does in the text model itself. At either end it counts nowhere.
- What a model of these architectures also sees or hears is left out: its text part is taken.

## Work

| architecture | documents | positions | new layers |
|---|---|---|---|
{works}

## Refused, by name and with the rule

| architecture | why |
|---|---|
{refused}

## Not tried

Transformers builds or runs no small model of them from their default configuration, or not without further packages:
{untried}.
"""


class Found(NamedTuple):
    """What became of one architecture: a line of the table."""

    architecture: str
    status: str  # "works", "refused" or "not tried"
    documents: str = ""
    positions: str = ""
    new_layers: str = ""
    why: str = ""

    @property
    def line(self) -> str:
        """As it stands in the docs."""
        if self.status == "works":
            return f"| {self.architecture} | {self.documents} | {self.positions} | {self.new_layers} |"
        return f"| {self.architecture} | {self.why} |" if self.status == "refused" else f"`{self.architecture}`"

    @classmethod
    def works_as(cls, architecture: str, model: SmolTolkForCausalLM, new_layers: str) -> Found:
        """Of a model that was made."""
        return cls(
            architecture,
            "works",
            "packed" if model.config.packs_documents else "side by side",
            "computed" if longest_row(model.config.text_config) is None else "a table",
            new_layers,
        )

    @classmethod
    def refused_by(cls, architecture: str, error: InputError) -> Found:
        """Of a text model that was not taken."""
        return cls(architecture, "refused", why=f"{error.rule} ({error.found})".replace("|", "/").replace("\n", " "))


def tiny() -> ModuleType:
    """The file of tests that shrinks architectures."""
    spec = importlib.util.spec_from_file_location("tiny", _ROOT / "tests/model/text_models/tiny.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"the tests are not there, beside {TABLE}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def find(architecture: str, shrunk: ModuleType) -> Found:
    """Build it and put speech around it."""
    text_model: PreTrainedModel | None = shrunk.running_text_model(architecture)
    if text_model is None:
        return Found(architecture, "not tried")
    try:
        model = SmolTolkForCausalLM.from_text_model(text_model, num_units=NUM_UNITS)
        return Found.works_as(architecture, model, deepened(own_text_model(text_model))[0])
    except InputError as error:
        return Found.refused_by(architecture, error)


def deepened(text_model: PreTrainedModel) -> tuple[str, list[int], PreTrainedModel | None]:
    """Where two new layers can be put, their places, and the deeper text model."""
    num_layers = text_model.config.num_hidden_layers
    for where, places in (("anywhere", [1, num_layers + 1]), ("behind the last", [num_layers, num_layers + 1])):
        try:
            return where, places, with_new_layers(text_model, places)
        except InputError:
            continue
    return "nowhere", [], None


def main() -> None:
    """Write the table."""
    shrunk = tiny()
    names = shrunk.causal_architectures()
    found = [find(name, shrunk) for name in track(names, "architectures")]
    lines = {status: [f.line for f in found if f.status == status] for status in ("works", "refused", "not tried")}
    text = _HEAD.format(
        version=transformers.__version__,
        supported=len(lines["works"]),
        total=len(names),
        works="\n".join(lines["works"]),
        refused="\n".join(lines["refused"]),
        untried=", ".join(lines["not tried"]),
    )
    TABLE.write_text(text)


if __name__ == "__main__":
    main()
