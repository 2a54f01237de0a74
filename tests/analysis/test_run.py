"""All parts of two models: what lies in the directory, what is kept, what is left out and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from smoltolk.analysis.figures import FIGURES, draw
from smoltolk.analysis.inside import MEASURES
from smoltolk.analysis.request import PARTS
from smoltolk.analysis.run import analyse
from smoltolk.analysis.selector_figures import STYLES
from smoltolk.analysis.tables import markdown
from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.report.plot_style import REAL


@pytest.fixture(scope="module")
def models(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Late and early fusion, random."""
    place = tmp_path_factory.mktemp("models")
    for name, adapters in {"late": 1, "early": 0}.items():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            bos_token_id=0, eos_token_id=0,
        )  # fmt: skip
        more = {} if adapters else {"layer_mix": "last", "speech_residual": False}
        made = SmolTolkForCausalLM.from_text_model(
            LlamaForCausalLM(config), num_units=12, eos_text_id=0, num_input_layers=adapters,
            num_output_layers=adapters, unit_fingerprint="abc", **more,
        )  # fmt: skip
        made.save_pretrained(place / name)
        tokenizer.save_pretrained(place / name)
    return {name: place / name for name in ("late", "early")}


@pytest.fixture(scope="module")
def out(models: dict[str, Path], spoken_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inside") / "out"
    analyse(list(models.values()), spoken_shards, folder, num_items=80, seed=0)
    return folder


@pytest.fixture(scope="module")
def result(out: Path) -> dict[str, Any]:
    return json.loads((out / "analysis.json").read_text())


def test_every_part_of_every_model(result: dict[str, Any], out: Path) -> None:
    assert list(result["models"]) == ["late", "early"]
    for model in result["models"].values():
        assert set(PARTS) < set(model)
        assert len(model["alignment"]["words"]["knn"]) == len(model["lens"]["heard"]["top"]["1"]) == 3
    late, early = result["models"].values()
    assert late["digest"] != early["digest"] and result["num_items"] == 80
    assert {path.name for path in out.glob("*.svg")} == {f"{part}.svg" for part in PARTS}
    for part in PARTS:
        picture = matplotlib.image.imread(out / f"{part}.png")
        assert picture.shape[1] == pytest.approx(1440, abs=2) and picture[..., :3].std() > 0.05


def test_every_part_has_a_measure_and_a_drawing() -> None:
    assert tuple(MEASURES) == tuple(FIGURES) == PARTS


def test_no_figure_is_missing_or_not_a_number(result: dict[str, Any]) -> None:
    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "low" in value:
                assert value["low"] <= value["value"] <= value["high"], value
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)
        elif isinstance(value, float):
            assert np.isfinite(value)

    walk(result)


def test_early_fusion_has_no_selector_and_everything_else(result: dict[str, Any], out: Path) -> None:
    early = result["models"]["early"]
    for part in ("selector", "boundaries"):
        assert early[part] == {"left_out": "the model has no selector (layer_mix = last)"}
        assert "left_out" not in result["models"]["late"][part]
    text = (out / "analysis.md").read_text()
    assert "early: left out, the model has no selector" in text
    assert "early, mutual k-NN" in text and "no phone probe, no corpus with phones was named" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all("nan" not in line for line in rows) and len(rows) > 60


def test_random_models_know_nothing_of_speech_and_text(result: dict[str, Any]) -> None:
    for model in result["models"].values():
        found = model["retrieval"]
        for way in ("speech->text", "text->speech"):
            assert found["centred"][way]["recall"]["1"][0]["value"] < 0.15
        assert found["n"] == 80 and found["chance"]["recall"]["1"] == 1 / 80


def test_what_is_there_is_kept(
    models: dict[str, Path], spoken_shards: Path, out: Path, result: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("a model was loaded")

    with monkeypatch.context() as patch:
        patch.setattr("smoltolk.analysis.run.load_model", never)
        again = analyse(list(models.values()), spoken_shards, out, num_items=80, seed=0)
        assert json.loads(json.dumps(again)) == result
        with pytest.raises(AssertionError):  # another seed is another analysis
            analyse([models["late"]], spoken_shards, out, num_items=80, seed=1, parts=["lens"])
    (out / "parts" / "late-lens.json").unlink()
    found = analyse([models["late"]], spoken_shards, out, num_items=80, seed=0, parts=["lens"])
    assert found["models"]["late"]["lens"] == result["models"]["late"]["lens"]


def test_phones_of_a_corpus(
    spoken_corpus: Path, shards_dir: Path, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """Real speech and its units, which are phones, if not yet good ones."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=257, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, eos_token_id=0
    )
    made = SmolTolkForCausalLM.from_text_model(
        LlamaForCausalLM(config), num_units=41, num_input_layers=1, num_output_layers=1
    )
    made.save_pretrained(tmp_path / "model")
    byte_tokenizer.save_pretrained(tmp_path / "model")
    inside = dict(parts=["probes"], num_items=400, seed=0)
    found = analyse([tmp_path / "model"], shards_dir, tmp_path / "out", corpus=spoken_corpus, **inside)
    probe = found["models"]["model"]["probes"]["phone"]
    assert probe["n"] > 40 and len(probe["speech"]) == 2
    with pytest.raises(NotFoundError):
        analyse([tmp_path / "model"], shards_dir, tmp_path / "out", corpus=tmp_path / "nowhere", **inside)


def test_refusals(models: dict[str, Path], spoken_shards: Path, shards_dir: Path, tmp_path: Path) -> None:
    late = models["late"]
    with pytest.raises(InputError, match="a part is one of alignment"):
        analyse([late], spoken_shards, tmp_path, parts=["lense"])
    with pytest.raises(InputError, match="trained with"):
        analyse([late], shards_dir, tmp_path)
    with pytest.raises(NotFoundError):
        analyse([tmp_path / "nowhere"], spoken_shards, tmp_path)


def test_too_few_sentences_leave_words(
    models: dict[str, Path], write_shards: Callable, speak: Callable, tmp_path: Path
) -> None:
    """Nine recordings of two sentences: what is made of words is made, what needs sentences says why it is not."""
    few = write_shards(
        tmp_path / "few" / "a.parquet", [speak(f"{k}", "She sees a dog. He has a cat.", "x") for k in range(9)]
    )
    out, reason = tmp_path / "out", "2 different sentences in these shards, 20 are needed"
    found = analyse([models["late"]], few, out, num_items=60)["models"]["late"]
    for part in ("alignment", "geometry"):
        assert found[part]["words"]["n"] == 60 and found[part]["sentences"] == {"left_out": reason}
    assert found["retrieval"] == {"left_out": reason}
    assert f"sentence: {reason}" in found["probes"]["left_out"]
    assert found["boundaries"]["n"] == 6 and found["boundaries"]["boundaries"] == 42
    text = (out / "analysis.md").read_text()
    assert f"late: no sentences, {reason}." in text and "late, mutual k-NN" in text
    assert {path.stem for path in out.glob("*.png")} == set(PARTS) - {"retrieval", "probes"}


def test_single_words(models: dict[str, Path], write_shards: Callable, speak: Callable, tmp_path: Path) -> None:
    """As in corpora of commands: no word follows, no boundary lies inside, no probe has enough of a word."""
    words = [f"name{letter}" for letter in ascii_lowercase]
    place = write_shards(
        tmp_path / "words" / "a.parquet", [speak(f"{w}-{k}", w, f"voice {k}") for w in words for k in range(3)]
    )
    out = tmp_path / "out"
    found = analyse([models["late"]], place, out, num_items=60)["models"]["late"]
    assert set(found["lens"]) == {"heard"} and found["boundaries"] == {
        "left_out": "too few of the utterances have two words"
    }
    assert found["alignment"]["sentences"]["n"] == len(words)
    assert found["probes"]["left_out"].startswith("phone: no corpus") and "word: too few items" in str(found["probes"])
    assert not (out / "probes.svg").exists() and (out / "lens.svg").exists()


def test_a_model_has_one_colour_in_all_drawings(result: dict[str, Any], tmp_path: Path) -> None:
    """The second of two models, of which the first has no selector."""
    turned = {name: result["models"][name] for name in ("early", "late")}
    draw(turned, tmp_path)
    second = REAL[STYLES[1]]
    assert second in (tmp_path / "lens.svg").read_text() and second in (tmp_path / "selector.svg").read_text()
    assert REAL[STYLES[0]] not in (tmp_path / "selector.svg").read_text()


def test_figures_that_there_are_not(result: dict[str, Any], tmp_path: Path) -> None:
    """A dimension of too few different states: a dash in the table, a gap in the drawing."""
    changed = json.loads(json.dumps(result))
    changed["models"]["late"]["geometry"]["words"]["dimension_text"][0] = dict.fromkeys(("value", "low", "high"))
    assert "late, dimension, text | - [-, -] |" in markdown(changed)
    assert tmp_path / "geometry.svg" in draw(changed["models"], tmp_path)
