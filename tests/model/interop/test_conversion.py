"""Variants of the two published formats, against models written down here as the papers' code computes them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaModel
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRotaryEmbedding

from smoltolk.common.errors import InputError
from smoltolk.model.interop.conversion import convert
from smoltolk.model.modeling import SmolTolkForCausalLM

D, L, V, U = 32, 3, 64, 12
SIZES = {"hidden_size": D, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
PAD = U - 1


def llama_config(**changes: Any) -> LlamaConfig:
    return LlamaConfig(**(SIZES | {"num_hidden_layers": L, "vocab_size": V - 3, "eos_token_id": 1} | changes))


def run(layers: nn.ModuleList, config: LlamaConfig, states: Tensor, allowed: Tensor) -> list[Tensor]:
    """Outputs of each layer; ``allowed`` [B, T, T] says who sees whom."""
    rotary = LlamaRotaryEmbedding(config)(states, torch.arange(states.shape[1])[None])
    outputs = []
    for layer in layers:
        states = layer(states, attention_mask=allowed[:, None], position_embeddings=rotary)
        outputs.append(states)
    return outputs


def causal(length: int) -> Tensor:
    return torch.ones(1, length, length, dtype=torch.bool).tril()


def segments(is_speech: Tensor) -> Tensor:
    """[B, T, T]: positions of one run of speech; text is one segment, as in the published code."""
    allowed = torch.zeros(*is_speech.shape, is_speech.shape[1], dtype=torch.bool)
    for b, row in enumerate(is_speech.tolist()):
        number, numbers = 0, []
        for t, speech in enumerate(row):
            number += speech and (t == 0 or not row[t - 1])
            numbers.append(number if speech else -1)
        allowed[b] = torch.tensor(numbers)[:, None] == torch.tensor(numbers)[None]
    return allowed & causal(is_speech.shape[1])


def blocks(number: int, **sizes: int) -> tuple[nn.ModuleList, LlamaConfig]:
    config = llama_config(**sizes, head_dim=sizes.get("hidden_size", D) // sizes.get("num_attention_heads", 4))
    config._attn_implementation = "sdpa"
    return nn.ModuleList([LlamaDecoderLayer(config, number) for number in range(number)]), config


class SmolTolkRelease(nn.Module):
    """The SmolTolk release, with its names."""

    def __init__(self, settings: dict[str, Any]):
        super().__init__()
        self.settings = settings
        self.context_model = LlamaModel(llama_config())
        del self.context_model.embed_tokens
        self.txt_embed, self.txt_unembed = nn.Embedding(V, D), nn.Linear(D, V, bias=False)
        self.audio_embed = nn.ModuleList([nn.Embedding(U, D)])
        self.audio_unembed = nn.ModuleList([nn.Linear(D, U, bias=False)])
        if settings["tie_audio_embeddings"]:
            self.audio_unembed[0].weight = self.audio_embed[0].weight
        self.audio_in_layers, self.config = blocks(settings["n_audio_in_layers"])
        self.audio_out_layers, _ = blocks(settings["n_audio_out_layers"])
        if settings["layer_wa_audio"]:
            self.layer_weights = nn.Parameter(torch.randn(L, 1, 1, 1))
        if settings["layer_selwa_audio"]:
            self.layer_selector = nn.Linear(D, L)

    def forward(self, tokens: Tensor, is_speech: Tensor) -> tuple[Tensor, Tensor]:
        units = self.audio_embed[0](torch.where(is_speech, tokens, PAD))
        raw = torch.where(is_speech[..., None], units, self.txt_embed(torch.where(is_speech, 0, tokens)))
        heard = [raw, *run(self.audio_in_layers, self.config, raw, segments(is_speech))][-1]
        output = self.context_model(
            inputs_embeds=torch.where(is_speech[..., None], heard, raw), output_hidden_states=True
        )
        final, layers = output.last_hidden_state, torch.stack(output.hidden_states[1:])
        state = final
        if self.settings["layer_wa_audio"]:
            state = (layers * self.layer_weights.softmax(0)).sum(0)
        elif self.settings.get("selwa_in_layer") is not None:
            state = output.hidden_states[self.settings["selwa_in_layer"]]
        if self.settings["layer_selwa_audio"]:
            chosen = self.layer_selector(state).softmax(-1).permute(2, 0, 1)[..., None]
            state = (layers * chosen).sum(0)
        if self.settings["raw_speech_residual"]:
            state = state + raw
        said = [state, *run(self.audio_out_layers, self.config, state, causal(tokens.shape[1]))][-1]
        return self.txt_unembed(final), self.audio_unembed[0](said)


class Lf2ar(nn.Module):
    """LF2AR, with its names."""

    def __init__(self, settings: dict[str, Any]):
        super().__init__()
        self.settings = s = settings
        config = llama_config(rope_theta=s["rope_theta"])
        width_in, width_out = s["aud_inadapter_dim"], s["aud_outadapter_dim"]
        names = {"dim": "hidden_size", "mlp_dim": "intermediate_size"}
        names |= {"n_heads": "num_attention_heads", "n_kvheads": "num_key_value_heads"}
        inside, outside = (
            {"rope_theta": s["rope_theta"]} | {names[k]: s[f"{part}_{k}"] for k in names}
            for part in ("aud_inadapter", "aud_outadapter")
        )
        text = self.global_workspace = nn.Module()
        text.context_model = LlamaModel(config)
        del text.context_model.embed_tokens
        text.txt_embed = nn.Embedding(V, D)
        ears = self.aud_perception = nn.Module()
        ears.embed = nn.ModuleList([nn.Embedding(U, width_in)])
        ears.in_layers, self.in_config = blocks(s["aud_inadapter_n_layers"], **inside)
        mode, alone = s["aud_attention_residual"], s["aud_attention_residual_backbone_only"]
        self.mixes_inputs = mode != "none" and not alone and s["aud_inadapter_n_layers"] > 0
        if width_in != D:
            ears.in2backbone_proj = nn.Linear(width_in, D)
            if self.mixes_inputs:
                ears.in2attention_residual_proj = nn.Linear(width_in, D)
        mouth = self.aud_expression = nn.Module()
        if mode != "none":
            number = L + (s["aud_inadapter_n_layers"] if self.mixes_inputs else 0)
            mouth.attention_residual = nn.Module()
            mouth.attention_residual.static_logits = nn.Parameter(torch.randn(number, 1, 1, 1))
            if mode == "dynamic":
                mouth.attention_residual.dynamic_selector = nn.Linear(D, number)
        if width_out != D:
            mouth.backbone2out_proj = nn.Linear(D, width_out, bias=False)
        mouth.out_layers, self.out_config = blocks(s["aud_outadapter_n_layers"], **outside)
        mouth.unembed = nn.ModuleList([nn.Linear(width_out, U, bias=False)])
        if s["tie_aud_embeddings"]:
            mouth.unembed[0].weight = ears.embed[0].weight

    def forward(self, tokens: Tensor, is_speech: Tensor) -> tuple[Tensor, Tensor]:
        text, ears, mouth = self.global_workspace, self.aud_perception, self.aud_expression
        units = ears.embed[0](torch.where(is_speech, tokens, PAD))
        heard = run(ears.in_layers, self.in_config, units, segments(is_speech))
        project = getattr(ears, "in2backbone_proj", nn.Identity())
        speech = project([units, *heard][-1])
        states = torch.where(is_speech[..., None], speech, text.txt_embed(torch.where(is_speech, 0, tokens)))
        output = text.context_model(inputs_embeds=states, output_hidden_states=True)
        state = output.last_hidden_state
        if self.settings["aud_attention_residual"] != "none":
            pool = getattr(ears, "in2attention_residual_proj", nn.Identity())
            inputs = [pool(h) for h in heard] if self.mixes_inputs else []
            layers = torch.stack([*inputs, *output.hidden_states[1:]])
            if self.settings["aud_attention_residual_norm"]:
                layers = layers * torch.rsqrt(layers.square().mean(-1, keepdim=True) + 1e-6)
            chooser = mouth.attention_residual
            state = (layers * chooser.static_logits.softmax(0)).sum(0)
            if hasattr(chooser, "dynamic_selector"):
                state = (layers * chooser.dynamic_selector(state).softmax(-1).permute(2, 0, 1)[..., None]).sum(0)
        state = getattr(mouth, "backbone2out_proj", nn.Identity())(state)
        said = [state, *run(mouth.out_layers, self.out_config, state, causal(tokens.shape[1]))][-1]
        return text.txt_embed.weight @ output.last_hidden_state.mT, mouth.unembed[0](said)


SMOLTOLK = {
    "audio_vocabsize": U,
    "audio_pad_token": PAD,
    "txt_vocabsize": V,
    "bop_token": V - 3,
    "eop_token": V - 2,
    "swt_token": V - 1,
    "n_codebooks": 1,
    "tie_audio_embeddings": True,
    "backbone": "a/model",
    "n_audio_in_layers": 2,
    "n_audio_out_layers": 2,
    "layer_wa_audio": True,
    "layer_selwa_audio": True,
    "selwa_in_layer": None,
    "selwa_linear": True,
    "raw_speech_residual": True,
    "entropy_reg": 0.01,
    "block_size": 32,
}
LF2AR: dict[str, Any] = {
    "aud_vocabsize": U,
    "aud_pad_token": PAD,
    "txt_vocabsize": V,
    "txt_pad_token": V - 2,
    "swt_token": V - 1,
    "n_aud_codebooks": 1,
    "n_img_codebooks": 0,
    "backbone": "a/model",
    "backbone_config": llama_config(tie_word_embeddings=True).to_dict(),
    "rope_theta": 50_000.0,
    "aud_attention_residual": "dynamic",
    "aud_attention_residual_norm": False,
    "aud_attention_residual_backbone_only": True,
    "aud_attention_residual_entropy_reg": 0.01,
    "tie_aud_embeddings": True,
    "aud_head_type": "categorical",
}
for part in ("aud_inadapter", "aud_outadapter"):
    LF2AR |= {f"{part}_n_layers": 2, f"{part}_dim": D, f"{part}_mlp_dim": 48}
    LF2AR |= {f"{part}_n_heads": 4, f"{part}_n_kvheads": 2}
NARROW = {
    f"{part}_{name}": value
    for part in ("aud_inadapter", "aud_outadapter")
    for name, value in {"dim": 16, "mlp_dim": 20, "n_heads": 2, "n_kvheads": 1}.items()
}
ALL_LAYERS = {"aud_attention_residual_backbone_only": False}

VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "release": (SmolTolkRelease, {}),
    "release, static": (SmolTolkRelease, {"layer_selwa_audio": False}),
    "release, no selection": (SmolTolkRelease, {"layer_wa_audio": False, "layer_selwa_audio": False}),
    "release, selector asks the last layer": (SmolTolkRelease, {"layer_wa_audio": False}),
    "release, selector asks layer 2": (SmolTolkRelease, {"layer_wa_audio": False, "selwa_in_layer": 2}),
    "release, untied": (SmolTolkRelease, {"tie_audio_embeddings": False}),
    "release, no residual": (SmolTolkRelease, {"raw_speech_residual": False}),
    "release, ears only": (SmolTolkRelease, {"n_audio_out_layers": 0}),
    "release, deep mouth only": (SmolTolkRelease, {"n_audio_in_layers": 0, "n_audio_out_layers": 3}),
    "lf2ar": (Lf2ar, {}),
    "lf2ar, static": (Lf2ar, {"aud_attention_residual": "static"}),
    "lf2ar, no selection": (Lf2ar, {"aud_attention_residual": "none", "aud_attention_residual_norm": True}),
    "lf2ar, norm": (Lf2ar, {"aud_attention_residual_norm": True}),
    "lf2ar, all layers": (Lf2ar, ALL_LAYERS),
    "lf2ar, narrow": (Lf2ar, NARROW),
    "lf2ar, narrow, all layers, norm": (Lf2ar, NARROW | ALL_LAYERS | {"aud_attention_residual_norm": True}),
    "lf2ar, narrow tables only": (Lf2ar, NARROW | {"aud_inadapter_n_layers": 0, "aud_outadapter_n_layers": 0}),
    "lf2ar, two widths": (
        Lf2ar,
        NARROW | {"aud_outadapter_dim": 24, "tie_aud_embeddings": False, "aud_inadapter_n_layers": 3},
    ),
    "lf2ar, other heads and mlp": (Lf2ar, {"aud_inadapter_n_heads": 2, "aud_outadapter_mlp_dim": 20}),
}


def published(kind: type[nn.Module], changes: dict[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    settings = copy.deepcopy((SMOLTOLK if kind is SmolTolkRelease else LF2AR) | changes)
    torch.manual_seed(0)
    model = kind(settings)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval(), settings


def converted(
    model: nn.Module, settings: dict[str, Any], state: dict[str, Tensor] | None = None
) -> SmolTolkForCausalLM:
    text_config = llama_config(tie_word_embeddings=False) if isinstance(model, SmolTolkRelease) else None
    return convert(settings, model.state_dict() if state is None else state, text_config=text_config)


def tokens() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    is_speech = torch.tensor([[0] * 4 + [1] * 6 + [0] * 3 + [1] * 5, [1] * 7 + [0] * 4 + [1] * 4 + [0] * 3]).bool()
    found = torch.where(
        is_speech,
        torch.randint(0, U - 2, is_speech.shape, generator=generator),
        torch.randint(0, V - 3, is_speech.shape, generator=generator),
    )
    found[:, [3, 9, 12]] = torch.where(is_speech[:, [3, 9, 12]], found[:, [3, 9, 12]], V - 1)
    return found, is_speech


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_computes_what_the_published_model_computes(variant: str) -> None:
    original, settings = published(*VARIANTS[variant])
    model = converted(original, settings)
    found, is_speech = tokens()
    text, speech = original(found, is_speech)
    text = text.mT if isinstance(original, Lf2ar) else text
    logits = model(found + is_speech * model.config.speech_offset).logits
    rows = logits[..., -1] > -1e30  # where speech follows
    assert 0 < rows.sum() < rows.numel()
    torch.testing.assert_close(logits[rows][:, V:], speech[rows], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits[~rows][:, : V - 3], text[~rows][:, : V - 3], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("kind", [SmolTolkRelease, Lf2ar])
def test_wrappers_in_names(kind: type[nn.Module], prefix: str) -> None:
    original, settings = published(kind, {})
    wrapped = {prefix + name: tensor for name, tensor in original.state_dict().items()}
    expected = converted(original, settings).state_dict()
    found = converted(original, settings, wrapped).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_computed_buffers_are_passed_over() -> None:
    original, settings = published(SmolTolkRelease, {})
    state = original.state_dict() | {"context_model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    converted(original, settings, state)


def test_settings() -> None:
    model = converted(*published(SmolTolkRelease, {}))
    config = model.config
    assert (config.num_units, config.speech_offset, config.eos_text_id) == (U - 2, V, 1)
    assert (config.begin_prompt_id, config.end_prompt_id, config.switch_id) == (V - 3, V - 2, V - 1)
    assert config.entropy_weight == 0.01 and not config.published_spans
    assert not model.training

    config = converted(*published(Lf2ar, NARROW)).config
    assert config.begin_prompt_id == config.end_prompt_id == V - 2  # its <pad>
    assert config.text_config.rope_parameters["rope_theta"] == 50_000.0
    assert config.input_adapter_size["hidden_size"] == 16
    config = converted(*published(Lf2ar, {})).config  # written out in the checkpoint, and the backbone's own
    assert config.input_adapter_size is None and config.output_adapter_size is None


@pytest.mark.parametrize("kind", [SmolTolkRelease, Lf2ar])
def test_tensors_that_do_not_belong_together(kind: type[nn.Module]) -> None:
    original, settings = published(kind, {})
    state = original.state_dict()
    blocks_name = "audio_in_layers" if kind is SmolTolkRelease else "aud_perception.in_layers"
    missing = f"{blocks_name}.1.mlp.up_proj.weight"
    del state[missing]
    state["something.else"] = torch.zeros(2)
    with pytest.raises(InputError) as error:
        converted(original, settings, state)
    assert "late_fusion.adapter.model.layers.1.mlp.up_proj.weight" in error.value.found
    assert "extra: something.else" in error.value.found

    state = original.state_dict()
    state[missing] = torch.zeros(3, 3)
    with pytest.raises(InputError, match=r"up_proj\.weight \(3, 3\) instead of \(48, 32\)"):
        converted(original, settings, state)


@pytest.mark.parametrize(
    ("kind", "changes", "found"),
    [
        (SmolTolkRelease, {"n_codebooks": 4}, "n_codebooks = 4"),
        (SmolTolkRelease, {"selwa_linear": False}, "selwa_linear = False"),
        (SmolTolkRelease, {"selwa_downproj": 8}, "selwa_downproj = 8"),
        (SmolTolkRelease, {"layer_wa_audio": False, "selwa_in_layer": 0}, "selwa_in_layer = 0"),
        (SmolTolkRelease, {"audio_pad_token": 0}, "audio_pad_token = 0"),
        (SmolTolkRelease, {"swt_token": None}, "swt_token = None"),
        (Lf2ar, {"n_aud_codebooks": 8}, "n_aud_codebooks = 8"),
        (Lf2ar, {"n_img_codebooks": 1}, "n_img_codebooks = 1"),
        (Lf2ar, {"aud_head_type": "flow"}, "aud_head_type = 'flow'"),
        (Lf2ar, {"aud_inadapter_n_heads": 5}, "num_attention_heads 5"),
    ],
)
def test_variants_that_cannot_be_expressed(kind: type[nn.Module], changes: dict[str, Any], found: str) -> None:
    original, settings = published(kind, {})
    with pytest.raises(InputError, match=found):
        converted(original, settings | changes)


def test_an_unknown_format() -> None:
    with pytest.raises(InputError, match="known by audio_vocabsize or aud_vocabsize"):
        convert({"vocab_size": 3}, {})


def test_an_unknown_backbone() -> None:
    original, settings = published(SmolTolkRelease, {})
    with pytest.raises(InputError, match="only names 'a/model'"):
        convert(settings, original.state_dict())


def test_a_checkpoint_without_text() -> None:
    original, settings = published(SmolTolkRelease, {})
    state = {name: tensor for name, tensor in original.state_dict().items() if not name.startswith("txt_")}
    with pytest.raises(InputError, match=r"no 'txt_embed\.weight'"):
        converted(original, settings, state)
