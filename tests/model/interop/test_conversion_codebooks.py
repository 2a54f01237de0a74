"""Published checkpoints with several codebooks: each table in its place, sums and heads as their names say."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaModel

from smoltolk.common.errors import InputError
from smoltolk.model.interop.conversion import convert
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.reading import Reading

V, U, Q, D = 40, 9, 3, 16
TEXT = LlamaConfig(
    vocab_size=V - 3, hidden_size=D, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, eos_token_id=1
)
RELEASE: dict[str, Any] = {
    "audio_vocabsize": U, "audio_pad_token": U - 1, "txt_vocabsize": V, "bop_token": V - 3, "eop_token": V - 2,
    "swt_token": V - 1, "n_codebooks": Q, "tie_audio_embeddings": True, "backbone": "a/model",
}  # fmt: skip
LF2AR: dict[str, Any] = {
    "aud_vocabsize": U, "aud_pad_token": U - 1, "txt_vocabsize": V, "txt_pad_token": V - 2, "swt_token": V - 1,
    "n_aud_codebooks": Q, "backbone": "a/model", "tie_aud_embeddings": True,
}  # fmt: skip


def checkpoint(settings: dict[str, Any], *, tied: bool) -> tuple[dict[str, Tensor], list[Tensor], list[Tensor]]:
    """Tensors by the format's names, early fusion; the tables and the heads of the codebooks."""
    generator = torch.Generator().manual_seed(0)

    def table(rows: int) -> Tensor:
        return torch.randn(rows, D, generator=generator)

    tables = [table(U) for _ in range(Q)]
    heads = tables if tied else [table(U) for _ in range(Q)]
    text = LlamaModel(TEXT).state_dict()
    del text["embed_tokens.weight"]
    release = "audio_vocabsize" in settings
    prefix = "" if release else "global_workspace."
    state = {f"{prefix}context_model.{name}": value for name, value in text.items()}
    state |= {f"{prefix}txt_embed.weight": table(V), f"{prefix}txt_unembed.weight": table(V)}
    embed, unembed = ("audio_embed", "audio_unembed") if release else ("aud_perception.embed", "aud_expression.unembed")
    for codebook in range(Q):
        state[f"_orig_mod.{embed}.{codebook}.weight"] = tables[codebook]
        state[f"_orig_mod.{unembed}.{codebook}.weight"] = heads[codebook]
    return state, tables, heads


def converted(settings: dict[str, Any], state: dict[str, Tensor]) -> SmolTolkForCausalLM:
    return convert(settings, state, text_config=TEXT)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("settings", [RELEASE, LF2AR], ids=["release", "lf2ar"])
@torch.no_grad()
def test_every_table_is_in_its_place(settings: dict[str, Any], tied: bool) -> None:
    state, tables, heads = checkpoint(settings, tied=tied)
    model = converted(settings, state)
    assert model.config.num_codebooks == Q and model.config.codebook_delays == [0] * Q
    assert model.config.tie_speech_embeddings == tied and model.config.num_units == U - 2
    units = torch.randint(0, U - 2, (1, 6, Q), generator=torch.Generator().manual_seed(1))
    ids, codes = units[..., 0] + model.config.speech_offset, units[..., 1:]
    expected = sum(table[units[..., codebook]] for codebook, table in enumerate(tables))
    torch.testing.assert_close(model.units(Reading.of(model.config, ids, codes=codes)), expected)
    end = torch.tensor([[model.config.id_space.eos_speech]])
    silent = torch.full((1, 1, Q - 1), -1)
    torch.testing.assert_close(
        model.units(Reading.of(model.config, end, codes=silent))[0, 0], sum(table[U - 2] for table in tables)
    )
    output = model(ids, codes=codes, output_hidden_states=True)
    states = output.hidden_states[-1]
    offset = model.config.speech_offset
    torch.testing.assert_close(output.logits[..., offset:], states @ heads[0].T, rtol=1e-5, atol=1e-5)
    for codebook in range(1, Q):
        wanted = (states @ heads[codebook].T)[..., : U - 2]
        torch.testing.assert_close(output.codebook_logits[:, :, codebook - 1], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("settings", [RELEASE, LF2AR], ids=["release", "lf2ar"])
def test_a_table_that_is_missing_or_misshapen(settings: dict[str, Any]) -> None:
    state, _, _ = checkpoint(settings, tied=True)
    name = next(name for name in state if name.endswith("embed.2.weight"))
    for broken in (
        {other: value for other, value in state.items() if other != name},
        state | {name: torch.zeros(U + 1, D)},
    ):
        with pytest.raises(InputError, match=r"codebooks = 3, and 2 tables .*embed\.\*\.weight like the first"):
            converted(settings, broken)


def test_more_tables_than_codebooks() -> None:
    state, _, _ = checkpoint(RELEASE, tied=True)
    with pytest.raises(InputError, match=r"extra: audio_embed\.2\.weight"):
        converted(RELEASE | {"n_codebooks": 2}, state)
