"""Four ways to lay spans out, one result; blocks without ready masks; who sees whom in one published code."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model import layouts
from smoltolk.model.adapters import SpeechAdapter
from smoltolk.model.layouts import PublishedLayout, SpanLayout
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.trials import masks_spans

MakeText = Callable[..., PreTrainedModel]
Make = Callable[..., SmolTolkForCausalLM]
WITHOUT_MASKS = {
    "bloom": {},
    "falcon": {"alibi": True, "new_decoder_architecture": False},
}
HYBRID = {
    "layer_types": ["linear_attention", "full_attention", "linear_attention"], "num_experts": 4,
    "num_experts_per_tok": 2, "linear_num_key_heads": 2, "linear_num_value_heads": 2,
}  # fmt: skip


def test_it_is_tried(make_text_model: MakeText) -> None:
    for architecture in ("llama", "gpt2", "opt", "gemma2", "mpt"):
        assert masks_spans(SpeechAdapter(make_text_model(architecture).config, 1)), architecture
    for architecture, changes in WITHOUT_MASKS.items():
        training = SpeechAdapter(make_text_model(architecture, **changes).config, 1).train()
        assert not masks_spans(training) and training.training, architecture


@pytest.mark.parametrize("architecture", [*WITHOUT_MASKS, "qwen3_next"])
@torch.no_grad()
def test_decoding_in_any_chunks(
    architecture: str, make_text_model: MakeText, make_model: Make, ids: Tensor, assert_close: Callable
) -> None:
    model = make_model(make_text_model(architecture, **(WITHOUT_MASKS | {"qwen3_next": HYBRID})[architecture]))
    # The adapters of a hybrid are made of its attention layers, which take a mask.
    assert model.config.masks_spans == (architecture == "qwen3_next")
    full = model(ids).logits
    for size in (25, 7, 1):
        cache, found = None, []
        for chunk in ids.split(size, dim=1):
            output = model(chunk, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            found.append(output.logits)
        assert_close(torch.cat(found, dim=1), full)


@pytest.mark.parametrize("pool", ["backbone", "all"])
@pytest.mark.parametrize("static", [False, True])
@torch.no_grad()
def test_it_computes_what_masks_compute(
    static: bool, pool: str, make_model: Make, write: Callable[..., Tensor], assert_close: Callable
) -> None:
    model = make_model(layer_mix_pool=pool)
    prompts = write(model.config.id_space, "tttsuuuustttsuu", "uuuusttttsuuust")
    settings = {"attention_mask": torch.ones_like(prompts), "max_new_tokens": 6, "do_sample": False, "num_beams": 2}
    if static:
        settings |= {"cache_implementation": "static", "disable_compile": True}
    expected = model.generate(prompts, **settings)
    model.config.masks_spans = False
    assert torch.equal(model.generate(prompts, **settings), expected)
    assert_close(model(prompts, use_cache=True).logits, model(prompts).logits)


@pytest.mark.parametrize("architecture", ["mamba", "falcon_h1"])
def test_states_that_are_no_keys_and_values(architecture: str, make_text_model: MakeText) -> None:
    with pytest.raises(InputError, match="decides by itself what its layers are"):
        SmolTolkForCausalLM.from_text_model(make_text_model(architecture), num_units=10)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("all_layers", [False, True])
@torch.no_grad()
def test_every_process_calls_the_adapter_as_often_as_the_one_that_does_most(
    shared: bool, all_layers: bool, model: SmolTolkForCausalLM, write: Callable[..., Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if shared:
        monkeypatch.setattr(layouts, "_shared_out", lambda module: object())
        monkeypatch.setattr(layouts, "_most_of_all", lambda calls, shared_out: 3)
    adapter, calls = model.late_fusion.adapter, []
    handle = adapter.register_forward_hook(lambda *_: calls.append(1))
    counts = {}
    for row in ("uuuuuuuuuuuuusuststststs", "uuuuuuuuuuuuuuuttttttttt", "tttttttttttttttttttttttt"):
        is_speech = write(model.config.id_space, row) >= model.config.speech_offset
        units = torch.where(is_speech[..., None], torch.randn(1, 24, 32), torch.ones(32))  # ones: a padding unit
        calls.clear()
        training = not shared or all_layers  # shared out, it is also called in evaluations without speech
        found = SpanLayout.of(is_speech, training=training).compose(adapter, units, units, all_layers=all_layers)
        counts[row] = len(calls)
        alone = adapter(torch.ones(1, 1, 32), all_layers=all_layers)
        for layer, expected in zip(found, alone, strict=True) if all_layers else ():
            torch.testing.assert_close(layer[~is_speech], expected[0].expand(int((~is_speech).sum()), -1))
        for start, stop in ((0, 13), (0, 15)):
            if row[start:stop] == "u" * (stop - start) and row[stop] != "u":
                own = adapter(units[:, start:stop], all_layers=all_layers)[-1]
                torch.testing.assert_close(found[-1][:, start:stop], own)
    handle.remove()
    assert list(counts.values()) == ([3, 3, 3] if shared else [2, 1, 1])


def seen(row: str) -> list[str]:
    """For each position of a row which positions it sees, as letters."""
    is_speech = torch.tensor([[letter == "u" for letter in row]])
    visible = PublishedLayout(is_speech).visible()[0]
    return ["".join(str(k) for k in sees.nonzero().flatten().tolist()) for sees in visible]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("ttuu", ["0", "1", "2", "23"]),
        ("tuutu", ["0", "1", "12", "3", "4"]),
        ("tuut", ["0", "1", "12", "3"]),
        ("uuu", ["0", "01", "012"]),
        ("uutuu", ["0", "01", "2", "23", "234"]),  # opens with speech: the second span sees the text before it
        ("uutuut", ["0", "01", "2", "", "", "5"]),  # and closes with text: the last span sees nothing
        ("uut", ["", "", "2"]),
        ("utututt", ["0", "1", "12", "3", "", "5", "6"]),
    ],
)
def test_who_sees_whom(row: str, expected: list[str]) -> None:
    assert seen(row) == expected


def test_only_rows_that_open_with_speech_differ(
    make_model: Callable[..., SmolTolkForCausalLM], write: Callable[..., Tensor], assert_close: Callable
) -> None:
    model, other = make_model(), make_model(published_spans=True)
    space = model.config.id_space
    with torch.no_grad():
        ids = write(space, "ttsuuuusttsuuustt")
        assert_close(other(ids).logits, model(ids).logits)
        ids = write(space, "uuuusttsuuustt")
        assert (other(ids).logits - model(ids).logits).abs().max() > 1e-2
        assert_close(other(ids, use_cache=True).logits, model(ids).logits)  # decoding never looks ahead
