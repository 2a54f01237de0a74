"""The commands of the documentation exist, with these options; its Python runs, and so do its quick commands."""

import importlib.util
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from typer.testing import CliRunner

from smoltolk import SmolTolkForCausalLM, load_audio, load_unit_tokenizer, make_bundle, read_corpus, save_audio
from smoltolk.cli.app import app
from smoltolk.common.errors import MissingExtraError
from smoltolk.speech.vocoders.griffin_lim import GriffinLimVocoder

ROOT = Path(__file__).parents[2]
PAGES = {
    path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
PYTHON = {name: re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL) for name, page in PAGES.items()}
# Names of text models on the hub or of one's own; a small one stands for them.
TEXT_MODELS = "HuggingFaceTB/SmolLM2-135M", "path/to/text-model"
# What is run besides being parsed: verbs that take seconds and need nothing but what `workplace` has.
QUICK = {
    "corpus folder", "corpus validate", "corpus export", "prepare", "shards validate", "inspect", "units encode",
    "vocoder say", "hear", "say", "continue", "bundle make", "bundle info",
}  # fmt: skip
# Shells of the pages know these besides; a misspelt `smoltolk` is none of them.
PROGRAMS = {"pip", "make", "python", "torchrun", "cat", "curl", "sbatch", "srun", "accelerate", "docker", "mkdir"}


def lines_of(page: str) -> Iterator[str]:
    """The commands of a page's shell blocks, a line that goes on behind a backslash joined."""
    for block in re.findall(r"^```(?:sh|bash|shell)\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield line.removeprefix("$ ").strip()


def commands_of(line: str) -> Iterator[list[str]]:
    """The programs that a line starts, as words: parts of a pipe apart, variables of the environment left out."""
    words = [*shlex.split(line, comments=True), ";"]
    command: list[str] = []
    for word in words:
        if word in ("|", "&&", ";", "&"):
            if command:
                yield command
            command = []
        elif command or not re.fullmatch(r"\w+=\S*", word):
            command.append(word)


STARTED = [(name, words) for name, page in PAGES.items() for line in lines_of(page) for words in commands_of(line)]
COMMANDS = [
    (name, " ".join(map(shlex.quote, words[words.index("smoltolk") :])))
    for name, words in STARTED
    if words[0] in ("smoltolk", "torchrun", "srun") and "smoltolk" in words
]
# In prose, too: `smoltolk VERB ...`.
INLINE = [
    (name, line)
    for name, page in PAGES.items()
    if name != "log.md"  # the log is history
    for line in re.findall(r"`(smoltolk [a-z][^`]*)`", page)
]


def parsed(line: str) -> Any:
    """The context of a verb with its options; raises on unknown ones and on missing arguments."""
    words = [word for word in shlex.split(line, comments=True)[1:] if word not in (">", "<")]
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    return None if "..." in words else command.make_context(command.name, words)


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_of_the_documentation_parse(page: str, line: str) -> None:
    context = parsed(line)
    assert context is None or context.params


@pytest.mark.parametrize(("page", "line"), INLINE)
def test_verbs_named_in_prose_exist(page: str, line: str) -> None:
    words, command = shlex.split(line)[1:], typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        name = words.pop(0)
        if name.isupper() or name.startswith("-"):
            return
        command = command.commands[name]
    if hasattr(command, "commands"):
        return
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    assert {word.partition("=")[0] for word in words if re.match("--[a-z]", word)} <= known


@pytest.mark.parametrize(("page", "words"), [(page, words) for page, words in STARTED if words[0] != "smoltolk"])
def test_other_programs_are_known_and_their_targets_exist(page: str, words: list[str]) -> None:
    if words[0] == ".":
        assert words[1] == ".venv/bin/activate"
        return
    assert words[0] in PROGRAMS, words
    if words[0] == "make":
        targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for found in re.findall(r"(?:smoltolk|\.)\[([\w,]+)\]", " ".join(words)):
        assert set(found.split(",")) <= set(extras)


def test_every_extra_of_users_is_in_the_table_of_extras() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    table = PAGES["index.md"].partition("## What to install")[2].partition("Something goes wrong?")[0]
    assert set(extras) - {"dev", "docs", "more"} == {name for name in re.findall(r"`(\w+)`", table) if name in extras}


def test_the_documentation_has_commands() -> None:
    assert {"README.md", "own-data.md", "codec.md", "evaluation.md"} <= {page for page, _ in COMMANDS}


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
    make_bundle(place / "model", place / "units", place / "vocoder", place / "bundle")
    (place / "recordings" / "anna").mkdir(parents=True)
    for number, utterance in enumerate(read_corpus(spoken_corpus)):
        take = place / "recordings" / "anna" / f"take {number + 1}.wav"
        if number < 3 and utterance.audio is not None:
            save_audio(take, load_audio(utterance.audio))
            take.with_suffix(".txt").write_text(utterance.text, encoding="utf-8")
    return place


def with_text_model(code: str) -> str:
    """Code of a page, the small text model and the bundle here in place of those that it names."""
    for name in TEXT_MODELS:
        code = code.replace(name, "text-model")
    return code.replace("quickstart/bundle", "bundle")


def is_quick(line: str) -> bool:
    """Whether a command is run here: a quick verb, on what lies here."""
    words = shlex.split(line)[1:]
    outside = re.search(r"[a-z]\w*/[a-z][\w.]*-|hf:|codec|quickstart|manifests|options|aufnahmen", line)
    return (words[0] in QUICK or " ".join(words[:2]) in QUICK) and outside is None


# Of training.md no command is whole on one machine.
RUN = {
    page: [line for where, line in COMMANDS if where == page and is_quick(line)]
    for page in PAGES
    if page != "training.md"
}


@pytest.mark.parametrize("page", [page for page, lines in RUN.items() if lines])
def test_quick_commands_of_a_page_run_in_their_order(
    page: str, workplace: Path, tmp_path: Path, shards_dir: Path, spoken_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(workplace, tmp_path, dirs_exist_ok=True)
    if not any("corpus folder" in line for line in RUN[page]):
        shutil.copytree(spoken_corpus, tmp_path / "corpus")
    if not any("prepare corpus units" in line for line in RUN[page]):
        shutil.copytree(shards_dir, tmp_path / "shards")
    monkeypatch.chdir(tmp_path)
    for line in RUN[page]:
        piped = Path("question.wav").read_bytes() if " - " in f"{line} " else None
        words = shlex.split(with_text_model(line))[1:]
        found = CliRunner().invoke(app, words, input=piped, catch_exceptions=False)
        assert found.exit_code == 0, f"{line}\n{found.output}"


@pytest.mark.parametrize("page", [name for name, blocks in PYTHON.items() if blocks])
def test_python_of_the_documentation_runs(
    page: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    names: dict[str, Any] = {}
    for number, block in enumerate(PYTHON[page]):  # a block goes on with what the ones before it have made
        code = compile(with_text_model(block), f"{page}, Python block {number}", "exec")
        if "int8=True" in block and importlib.util.find_spec("torchao") is None:
            with pytest.raises(MissingExtraError, match="int8"):
                exec(code, names)
        else:
            exec(code, names)
    if page == "README.md":
        assert isinstance(names["model"], SmolTolkForCausalLM) and names["early"].config.num_input_layers == 0
        assert names["answer"].text is not None
    elif page == "model.md":
        assert names["made"].shape[0] == 2
        assert "speech [" in capsys.readouterr().out
    elif page == "own-data.md":
        assert len(load_audio("answer.wav")) > 0


def test_the_documentation_has_python_that_takes_public_names() -> None:
    assert {name for name, blocks in PYTHON.items() if blocks} >= {"README.md", "model.md", "own-data.md"}
    inner = {name: re.findall(r"\bsmoltolk\.[a-z]\w*[.\w]*", page) for name, page in PAGES.items()}
    assert {name: found for name, found in inner.items() if found and name != "log.md"} == {}  # the log is history
