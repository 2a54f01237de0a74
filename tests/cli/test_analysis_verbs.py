"""``smoltolk analyse``: parts by name, what is left out, and errors before anything is loaded."""

from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.model.modeling import SmolTolkForCausalLM


def test_analyse(smoltolk, shards_dir: Path, byte_tokenizer, tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = LlamaForCausalLM(LlamaConfig(vocab_size=257, eos_token_id=0, **sizes))
    made = SmolTolkForCausalLM.from_text_model(
        text, num_units=41, num_input_layers=0, num_output_layers=0, layer_mix="last", speech_residual=False
    )
    made.save_pretrained(tmp_path / "early")
    byte_tokenizer.save_pretrained(tmp_path / "early")
    out = tmp_path / "inside"
    call = ["analyse", tmp_path / "early", "--shards", shards_dir, "--out", out, "--items", "60"]
    done = smoltolk(*call, "--parts", "lens, selector")
    assert done.code == 0, done.err
    assert "early: no selector, the model has no selector (layer_mix = last)" in done.out
    assert {path.name for path in out.iterdir()} == {"analysis.json", "analysis.md", "lens.svg", "lens.png", "parts"}
    wrong = smoltolk(*call, "--parts", "lense")
    assert wrong.code != 0 and "a part is one of alignment" in wrong.err
    missing = smoltolk("analyse", tmp_path / "nothing", "--shards", shards_dir, "--out", out)
    assert missing.code != 0 and "nothing" in missing.err
