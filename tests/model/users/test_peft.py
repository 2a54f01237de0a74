"""What users of PEFT do beyond LoRA in linear layers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.generation.modes import generation_settings
from smoltolk.model.modeling import SmolTolkForCausalLM

peft = pytest.importorskip("peft", reason="the extra 'dev' brings peft")
Make = Callable[..., SmolTolkForCausalLM]
Close = Callable[..., None]


def wrapped(model: SmolTolkForCausalLM, config: Any = None, **changes: Any) -> Any:
    """A copy with adapters of PEFT whose new parameters are not zero."""
    torch.manual_seed(0)
    if config is None:
        settings = {"r": 4, "target_modules": ["q_proj", "down_proj"], "init_lora_weights": False} | changes
        config = peft.LoraConfig(task_type="CAUSAL_LM", **settings)
    return peft.get_peft_model(copy.deepcopy(model), config)


def step(model: Any, ids: Tensor, rate: float = 0.1) -> set[str]:
    """One step of SGD; the names of what it changed."""
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    model.train()
    model(input_ids=ids, labels=ids).loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None and parameter.requires_grad:
                parameter -= rate * parameter.grad
    model.eval()
    return {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}


@torch.no_grad()
def logits(model: Any, ids: Tensor, **inputs: Any) -> Tensor:
    return model.eval()(input_ids=ids, **inputs).logits


def round_trip(model: Any, base: SmolTolkForCausalLM, ids: Tensor, assert_close: Close, folder: Path) -> Any:
    """Saved, loaded onto the base, and merged: always the same."""
    expected = logits(model, ids)
    model.save_pretrained(folder)
    loaded = peft.PeftModel.from_pretrained(copy.deepcopy(base), folder).eval()
    assert_close(logits(loaded, ids), expected, tolerance=1e-6)
    merged = loaded.merge_and_unload()
    assert type(merged) is SmolTolkForCausalLM
    assert_close(logits(merged, ids), expected)
    assert set(merged.state_dict()) == set(base.state_dict())
    return merged


def table_names(model: SmolTolkForCausalLM) -> dict[str, str]:
    """Names of the text table, and of the speech table, wherever they lie."""
    named = {name: part for name, part in model.named_modules() if isinstance(part, nn.Embedding)}
    rows = model.config.id_space.num_speech_ids
    text = next(name for name, part in named.items() if part is model.get_input_embeddings())
    speech = next(name for name, part in named.items() if part.num_embeddings == rows)
    return {"text": text, "speech": speech}


# ---------------------------------------------------------------------- rows of a table

TEXT_MODELS = {
    "llama": "embed_tokens",
    "opt": "embed_tokens",
    "gpt2": "wte",
    "gpt_neox": "embed_in",
    "phi": "embed_tokens",
}


@pytest.mark.parametrize("spelling", ["short", "list", "full"])
@pytest.mark.parametrize("architecture", TEXT_MODELS)
def test_rows_of_the_text_table(
    architecture: str,
    spelling: str,
    make_text_model: Callable[..., PreTrainedModel],
    make_model: Make,
    ids: Tensor,
    assert_close: Close,
    tmp_path: Path,
) -> None:
    base = make_model(make_text_model(architecture))
    full = table_names(base)["text"]
    assert full.endswith(TEXT_MODELS[architecture])
    rows = sorted({int(one) for one in ids[0, :5]})
    indices = {"short": {TEXT_MODELS[architecture]: rows}, "list": rows, "full": {full: rows}}[spelling]
    targets = "all-linear" if architecture == "gpt2" else ["q_proj", "query_key_value"]
    model = wrapped(base, trainable_token_indices=indices, target_modules=targets)
    changed = step(model, ids)
    assert any("trainable_tokens" in name for name in changed)
    merged = round_trip(model, base, ids, assert_close, tmp_path)
    moved = (merged.get_input_embeddings().weight != base.get_input_embeddings().weight).any(-1)
    assert moved.nonzero().flatten().tolist() == rows


def test_rows_of_the_speech_table(make_model: Make, ids: Tensor, assert_close: Close, tmp_path: Path) -> None:
    """They are predicted with what was trained, too."""
    base = make_model()
    name = table_names(base)["speech"]
    model = wrapped(base, trainable_token_indices={name: [1, 4]}, target_modules=["q_proj"])
    assert any("trainable_tokens" in one for one in step(model, ids))
    before = logits(base, ids)
    assert not torch.allclose(logits(model, ids), before)
    merged = round_trip(model, base, ids, assert_close, tmp_path)
    moved = (merged.get_submodule(name).weight != base.get_submodule(name).weight).any(-1)
    assert moved.nonzero().flatten().tolist() == [1, 4]


def test_tables_of_low_rank(make_model: Make, ids: Tensor, assert_close: Close, tmp_path: Path) -> None:
    """``embed_tokens`` is the text table: adapters have none."""
    base = make_model()
    model = wrapped(base, target_modules=["embed_tokens"])
    assert {name.split(".lora")[0] for name in step(model, ids)} == {f"base_model.model.{table_names(base)['text']}"}
    round_trip(model, base, ids, assert_close, tmp_path)


# ---------------------------------------------------------------------- many kinds at once


def speech_part(model: SmolTolkForCausalLM) -> list[str]:
    """The parts that the text model did not bring, as ``modules_to_save`` names them."""
    parts = {name for name, part in model.named_children() if next(part.parameters(), None) is not None}
    return sorted(parts - {"backbone"})


KINDS: dict[str, dict[str, Any]] = {
    "all linear": {"target_modules": "all-linear"},
    "DoRA": {"target_modules": "all-linear", "use_dora": True},
    "biases": {"target_modules": "all-linear", "bias": "all"},
    "rank stabilised": {"target_modules": "all-linear", "use_rslora": True},
    "text tables": {"modules_to_save": ["embed_tokens", "lm_head"]},
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_lora(kind: str, tied: bool, make_model: Make, ids: Tensor, assert_close: Close, tmp_path: Path) -> None:
    base = make_model(tie_speech_embeddings=tied, predict_switch=True)
    model = wrapped(base, **KINDS[kind])
    assert step(model, ids)
    assert not torch.allclose(logits(model, ids), logits(base, ids))
    round_trip(model, base, ids, assert_close, tmp_path)
    with model.disable_adapter():
        if kind != "biases":  # PEFT trains those in place
            assert_close(logits(model, ids), logits(base, ids))


@pytest.mark.parametrize("predict_switch", [False, True])
def test_the_speech_part_whole_beside_lora(
    predict_switch: bool, make_model: Make, ids: Tensor, assert_close: Close, tmp_path: Path
) -> None:
    """Stage 1 with LoRA in the backbone: everything of ours trains, the rows of the control ids too."""
    base = make_model(predict_switch=predict_switch)
    parts = speech_part(base)
    model = wrapped(base, modules_to_save=parts, target_modules=r"backbone\..*(q_proj|v_proj)")
    changed = step(model, ids)
    assert {part for part in parts if any(f".{part}." in name for name in changed)} == set(parts)
    assert all("lora_" in name or "modules_to_save" in name for name in changed)
    merged = round_trip(model, base, ids, assert_close, tmp_path)
    with torch.no_grad():
        switch = merged(torch.tensor([[model.config.switch_id]])).logits
        assert not torch.allclose(switch, base(torch.tensor([[model.config.switch_id]])).logits)


def test_what_the_speech_part_is(
    settings: dict[str, Any],
    make_text_model: Callable[..., PreTrainedModel],
    make_model: Make,
    write: Callable[..., Tensor],
    assert_close: Close,
    tmp_path: Path,
) -> None:
    """Saved alone and read into another model around the same text model it makes the same model, whatever is read."""
    text_model = make_text_model()
    one, other = make_model(text_model, **settings), make_model(text_model, seed=7, **settings)
    space = one.config.id_space
    ids = write(space, "tttsuuustts")
    ids[:, 1], ids[:, 2] = space.begin_prompt, space.end_prompt
    with torch.no_grad():  # the test's own models start alike but for their seed
        for number, parameter in enumerate(other.speech_parameters().values()):
            parameter.add_(0.1 * (number + 1))
    assert not torch.allclose(logits(one, ids), logits(other, ids))
    save_file(
        {name: value.detach().contiguous() for name, value in one.speech_parameters().items()}, tmp_path / "speech"
    )
    _, unexpected = other.load_state_dict(load_file(tmp_path / "speech"), strict=False)
    assert not unexpected
    assert_close(logits(other, ids), logits(one, ids))
    # What is left is the text model, to the bit; its tables may have spare rows.
    left = [parameter for name, parameter in one.named_parameters() if name not in one.speech_parameters()]
    for found, brought in zip(left, text_model.parameters(), strict=True):
        assert torch.equal(found[: len(brought)], brought)


OTHERS: dict[str, Any] = {
    "IA3": lambda: peft.IA3Config(
        target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"], init_ia3_weights=False
    ),
    "VeRA": lambda: peft.VeraConfig(target_modules=["q_proj"], r=4, init_weights=False),
    "LoHa": lambda: peft.LoHaConfig(target_modules=["q_proj"], r=4, init_weights=False),
    "LoKr": lambda: peft.LoKrConfig(target_modules=["q_proj", "v_proj"], r=4, init_weights=False),
    "OFT": lambda: peft.OFTConfig(target_modules=["q_proj"], oft_block_size=8, init_weights=False),
    "norms": lambda: peft.LNTuningConfig(target_modules=["input_layernorm"], task_type="CAUSAL_LM"),
    "trainable tokens": lambda: peft.TrainableTokensConfig(target_modules=["embed_tokens"], token_indices=[3, 9]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_adapters(name: str, make_model: Make, ids: Tensor, assert_close: Close, tmp_path: Path) -> None:
    base = make_model()
    ids = ids.clone()
    ids[:, 0] = 3
    model = wrapped(base, OTHERS[name]())
    assert step(model, ids)
    assert not torch.equal(logits(model, ids), logits(base, ids))
    round_trip(model, base, ids, assert_close, tmp_path)


def test_generation(make_model: Make, write: Callable[..., Tensor]) -> None:
    base = make_model(predict_switch=True)
    model = wrapped(base, modules_to_save=speech_part(base), target_modules="all-linear")
    step(model, write(base.config.id_space, "tttsuuustt"))
    prompts = write(base.config.id_space, "tttsuu", "uuuust")
    settings = {"attention_mask": torch.ones_like(prompts), "max_new_tokens": 6, "do_sample": False}
    for modality in ("text", "speech", "any"):
        more = generation_settings(base.config, modality)
        cached = model.generate(input_ids=prompts, **settings, **more)
        assert torch.equal(cached, model.generate(input_ids=prompts, use_cache=False, **settings, **more))
        assert torch.equal(cached, copy.deepcopy(model).merge_and_unload().generate(prompts, **settings, **more))


# ---------------------------------------------------------------------- right, or refused by name


def test_lora_of_an_earlier_layout(make_model: Make, tmp_path: Path) -> None:
    """Its speech tables and adapters had other names: what cannot be found must not stay random in silence."""
    base = make_model()
    model = wrapped(base, target_modules=r"backbone\..*q_proj")
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    names = ("speech_embed.weight", "input_adapter.model.layers.0.self_attn.q_proj.lora_A.weight")
    for old in names:
        save_file(weights | {f"base_model.model.{old}": torch.ones(4, 4)}, tmp_path / "adapter_model.safetensors")
        with pytest.raises(InputError, match=old.split(".")[0]):
            peft.PeftModel.from_pretrained(copy.deepcopy(base), tmp_path)


def test_prefixes(make_model: Make, ids: Tensor, padded: Callable, assert_close: Close) -> None:
    """A prefix is a cache of the backbone's layers alone, which adapters and history do not have."""
    base = make_model()
    config = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    try:
        model = wrapped(base, config).eval()
        rows = [ids[0], ids[1][:11]]
        single = [logits(model, row[None], attention_mask=torch.ones(1, len(row), dtype=torch.long)) for row in rows]
        for places in ("left", "right"):
            batch, mask = padded(rows, places, 0)
            found = logits(model, batch, attention_mask=mask)
            for number, one in enumerate(single):
                assert_close(found[number : number + 1, mask[number].bool()], one)
    except InputError as error:
        assert "cache" in str(error)
