"""The card beside a model, on disk and on its way to the hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from smoltolk.model.interop.card import describe, model_card
from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]


def test_a_card_says_what_the_model_is(make_model: Make, tmp_path: Path) -> None:
    model = make_model(text_model_name="some/text-model", unit_fingerprint="0123456789abcdef" * 4, layer_mix="static")
    model.save_pretrained(tmp_path)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.to_dict()["base_model"] == "some/text-model"
    assert card.data.to_dict()["library_name"] == "smoltolk"
    for part in (
        "SmolTolk on some/text-model",
        "fingerprint 0123456789abcdef",
        "static: one weight a layer",
        "2503.06211",
    ):
        assert part in card.content
    assert {"config.json", "model.safetensors", "README.md"} <= {path.name for path in tmp_path.iterdir()}


def test_its_python_is_right(model: SmolTolkForCausalLM) -> None:
    code = model_card(model.config).content.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec("\n".join(line for line in code.splitlines() if line.startswith("from ")), names)
    assert {"SmolTolkForCausalLM", "SmolTolkProcessor", "generation_settings"} <= set(names)
    compile(code, "card", "exec")


def test_without_a_name(model: SmolTolkForCausalLM) -> None:
    card = model_card(model.config)
    assert "# A SmolTolk model" in card.content and "base_model" not in card.data.to_dict()
    assert "None" not in card.content


def test_a_card_is_written_anew_unless_somebody_wrote_it(make_model: Make, tmp_path: Path) -> None:
    first, second = make_model(), make_model(layer_mix="last")
    first.save_pretrained(tmp_path)
    second.save_pretrained(tmp_path)
    written = (tmp_path / "README.md").read_text()
    assert describe(second.config)["layer mix"] in written and describe(first.config)["layer mix"] not in written
    own = written.replace(next(line for line in written.splitlines() if line.startswith("<!--")), "Our thesis.")
    (tmp_path / "README.md").write_text(own)
    first.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == own


def test_descriptions(make_model: Make) -> None:
    narrow = {"hidden_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
    settings = {
        "num_output_layers": 0, "layer_mix_pool": "all", "layer_mix_norm": True, "speech_residual": False,
        "tie_speech_embeddings": False, "predict_switch": True, "input_adapter_size": narrow,
    }  # fmt: skip
    found = describe(make_model(**settings).config)
    assert found["text model"] == "llama, 3 layers of 32" and found["units"] == "20"
    assert found["input adapter"] == "2 layers with hidden_size 16, num_attention_heads 2, num_key_value_heads 1"
    assert found["output adapter"] == "none" and found["speech residual"] == "no"
    assert found["layer mix"].endswith("the input adapter's among them, each brought to root mean square 1")
    assert found["modality"] == "chosen by the model" and found["speech tables"] == "one to read, one to predict"


def test_pushing_uploads_model_and_card(make_model: Make, hub: dict[str, Any]) -> None:
    make_model(text_model_name="some/text-model").push_to_hub("talker", tags=["english"])
    assert {"config.json", "generation_config.json", "model.safetensors", "README.md"} <= set(hub)
    card = ModelCard(hub["README.md"].decode())
    assert "SmolTolk on some/text-model" in card.content and 'from_pretrained("us/talker")' in card.content
    assert {"english", "smoltolk"} <= set(card.data.to_dict()["tags"])


def test_saving_can_push_too(model: SmolTolkForCausalLM, hub: dict[str, Any], tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "talker", push_to_hub=True)
    assert b'from_pretrained("us/talker")' in hub["README.md"]
    assert hub["model.safetensors"] == (tmp_path / "talker" / "model.safetensors").read_bytes()


def test_a_card_that_somebody_wrote_stays_on_the_hub(model: SmolTolkForCausalLM, hub: dict[str, Any]) -> None:
    hub["card"] = "---\nlicense: mit\n---\n\nOur thesis.\n"
    model.push_to_hub("talker")
    assert b"Our thesis." in hub["README.md"] and b"license: mit" in hub["README.md"]


def test_descriptions_of_baselines(make_model: Make) -> None:
    split = {"layer_mix": "fixed", "fission_layer": 2, "num_output_layers": 1, "copies_top_layers": True}
    found = describe(make_model(**split).config)
    assert found["layer mix"] == "none: layer 2 alone"
    assert found["output adapter"].endswith(", at first copies of the text model's last ones")
    found = describe(make_model(new_layers=[1, 4], frozen_text_model=True).config)
    assert found["text model"] == "llama, 5 layers of 32, those at 1, 4 new, frozen but for what is new"
    assert "units of a position" not in found
    assert describe(make_model(patch_size=4).config)["units of a position"] == "4, a patch of a span"
