"""The commands of the documentation exist, with these options, and its Python runs."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from smoltolk import SmolTolkForCausalLM, load_audio, load_unit_tokenizer, read_corpus, save_audio
from smoltolk.cli.app import app
from smoltolk.speech.vocoders.griffin_lim import GriffinLimVocoder

ROOT = Path(__file__).parents[2]
PAGES = {
    path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
COMMANDS = [
    (name, line)
    for name, page in PAGES.items()
    for line in re.findall(r"^(?:\$ )?(?:torchrun .* )?(smoltolk .*)$", page, re.MULTILINE)
]
PYTHON = {name: re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL) for name, page in PAGES.items()}
NEEDS_NETWORK = "HuggingFaceTB/SmolLM2-135M"  # a text model on the hub; a small one of our own stands for it


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_of_the_documentation_parse(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    if "..." in words:
        return
    context = command.make_context(command.name, words)  # raises on unknown options and missing arguments
    assert context.params


def test_the_documentation_has_commands() -> None:
    assert {"README.md", "own-data.md"} <= {page for page, _ in COMMANDS}


@pytest.fixture(scope="module")
def workplace(
    byte_tokenizer: PreTrainedTokenizerFast,
    phone_units_dir: Path,
    spoken_corpus: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A directory with what the pages speak of: a text model, ``model``, ``units``, ``vocoder``, ``question.wav``."""
    place = tmp_path_factory.mktemp("docs")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    text_model = LlamaForCausalLM(LlamaConfig(vocab_size=257, eos_token_id=0, **sizes))
    text_model.save_pretrained(place / "text-model")
    units = load_unit_tokenizer(phone_units_dir)
    model = SmolTolkForCausalLM.from_text_model(
        text_model, num_units=units.num_units, unit_fingerprint=units.fingerprint
    )
    model.save_pretrained(place / "model")
    for folder in ("text-model", "model"):
        byte_tokenizer.save_pretrained(place / folder)
    units.save(place / "units")
    GriffinLimVocoder(units.num_units, units.frame_rate, units.fingerprint, width=8).save(place / "vocoder")
    spoken = next(read_corpus(spoken_corpus)).audio
    assert spoken is not None
    save_audio(place / "question.wav", load_audio(spoken))
    return place


@pytest.mark.parametrize("page", [name for name, blocks in PYTHON.items() if blocks])
def test_python_of_the_documentation_runs(
    page: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    names: dict[str, Any] = {}
    for number, block in enumerate(PYTHON[page]):  # a block goes on with what the ones before it have made
        exec(compile(block.replace(NEEDS_NETWORK, "text-model"), f"{page}, Python block {number}", "exec"), names)
    if page == "README.md":
        assert isinstance(names["model"], SmolTolkForCausalLM) and names["early"].config.num_input_layers == 0
    elif page == "model.md":
        assert names["made"].shape[0] == 2
        assert "speech [" in capsys.readouterr().out
    elif page == "own-data.md":
        assert len(load_audio("answer.wav")) > 0


def test_the_documentation_has_python_that_takes_public_names() -> None:
    assert {name for name, blocks in PYTHON.items() if blocks} >= {"README.md", "model.md", "own-data.md"}
    inner = {name: re.findall(r"\bsmoltolk\.[a-z]\w*[.\w]*", page) for name, page in PAGES.items()}
    assert {name: found for name, found in inner.items() if found and name != "log.md"} == {}  # the log is history
