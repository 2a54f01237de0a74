"""Several units as one position of the backbone: what must hold, and a slow reference that follows the words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, StaticCache

from smoltolk.common.errors import InputError
from smoltolk.model.heads import States
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.reading import Reading

Make = Callable[..., SmolTolkForCausalLM]
Close = Callable[..., None]
Write = Callable[..., Tensor]

EARLY = {"num_input_layers": 0, "num_output_layers": 0, "layer_mix": "last", "speech_residual": False}
NARROW = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {"patch_size": 3},
    "pairs": {"patch_size": 2, "layer_mix": "static"},
    "longer than spans": {"patch_size": 9},
    "early fusion": EARLY | {"patch_size": 3},
    "predicted switch": {"patch_size": 3, "predict_switch": True},
    "narrow": {
        "patch_size": 3,
        "input_adapter_size": NARROW,
        "output_adapter_size": NARROW,
        "speech_residual": False,
    },
}
# Spans that end with a full patch, with a rest, before a switch or the end of the row, and rows that open with units.
ROWS = ("tttttsuuuuuuustttsuuuuuuuu", "uuuusttsuuusttttsuuuuuuust", "uutttttsuuuuuuuuuuustsuuut")


@pytest.fixture(scope="module")
def rows(model: SmolTolkForCausalLM, write: Write) -> Tensor:
    return write(model.config.id_space, *ROWS)


def logits(model: SmolTolkForCausalLM, input_ids: Tensor, **inputs: Any) -> Tensor:
    with torch.no_grad():
        return model(input_ids, **inputs).logits


def in_chunks(model: SmolTolkForCausalLM, input_ids: Tensor, sizes: list[int], cache: Any = None, **inputs: Any) -> Any:
    """Logits [B, T, ids] and selector's weights of a row that comes in pieces of these sizes, in turn."""
    start, found, weights = 0, [], []
    mask = inputs.pop("attention_mask", None)
    with torch.no_grad():
        while start < input_ids.shape[1]:
            end = min(start + sizes[len(found) % len(sizes)], input_ids.shape[1])
            if mask is not None:
                inputs["attention_mask"] = mask[:, :end]
            output = model(
                input_ids[:, start:end], past_key_values=cache, use_cache=True, output_selector_weights=True, **inputs
            )
            start, cache = end, output.past_key_values
            found.append(output.logits)
            weights.append(output.selector_weights)
    dynamic = weights[0] is not None and weights[0].ndim == 3
    return torch.cat(found, dim=1), torch.cat(weights, dim=1) if dynamic else None


# ---------------------------------------------------------------------- the words, one position after the other


@torch.no_grad()
def reference(model: SmolTolkForCausalLM, row: Tensor) -> tuple[Tensor, int]:
    """Logits [T, ids] of one document [T], and how many positions the backbone sees."""
    P, config = model.config.patch_size, model.config
    reading = Reading.of(config, row[None])
    text, units = model._embed_text(reading), model.units(reading)
    fused, _ = model.late_fusion(units, text, reading.is_speech, reading.layout)
    seen: list[Tensor] = []  # what the backbone reads
    reads: list[int] = []  # for each position the number of what was seen up to there
    patch: list[Tensor] = []  # units that wait
    for t, is_speech in enumerate(reading.is_speech[0].tolist()):
        if is_speech:
            patch.append(fused[0, t])
            if len(patch) == P:
                seen.append(torch.stack(patch).mean(0))
                patch = []
        else:
            rest = torch.stack(patch).mean(0) if patch else 0
            seen.append(fused[0, t] + rest)
            patch = []
        reads.append(len(seen) - 1)
    hidden = fused.new_zeros(config.num_layers, 0, config.hidden_size)
    if seen:
        output = model.backbone.base_model(
            inputs_embeds=torch.stack(seen)[None], use_cache=False, output_hidden_states=True
        )
        hidden = torch.cat([*output.hidden_states[1:-1], output.last_hidden_state])  # [L, N, D]
    mixed = torch.zeros_like(fused)
    final = torch.zeros_like(fused)
    for t, number in enumerate(reads):
        if number >= 0:
            mixed[0, t] = model.layer_mix([layer[None, None, number] for layer in hidden]).state[0, 0]
            final[0, t] = hidden[-1, number]
    raw = torch.where(reading.is_speech[..., None], units, text) if config.speech_residual else None
    spoken = model.late_fission(mixed, raw, None, None, None)
    states = States(text=final, speech=spoken)
    return model.heads.logits(model.backbone, model.units, states, reading)["logits"][0], len(seen)


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_position_after_the_other(variant: str, make_model: Make, rows: Tensor, assert_close: Close) -> None:
    model = make_model(**VARIANTS[variant])
    found = logits(model, rows)
    for number, row in enumerate(rows):
        assert_close(found[number], reference(model, row)[0])


@pytest.mark.parametrize("size", [2, 3, 9])
def test_the_backbone_sees_fewer_positions(size: int, make_model: Make, rows: Tensor) -> None:
    model, seen = make_model(patch_size=size), []
    hook = model.backbone.base_model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["inputs_embeds"].shape[1]), with_kwargs=True
    )
    long = rows.repeat(1, 8)
    logits(model, long)
    hook.remove()
    kept = max(reference(model, row)[1] for row in long)
    assert kept <= seen[0] < kept + 16 and seen[0] < long.shape[1]


def test_patches_of_one_unit_are_the_model_without(make_model: Make, rows: Tensor) -> None:
    plain, single = make_model(), make_model(patch_size=1)
    assert torch.equal(logits(plain, rows), logits(single, rows))
    with torch.no_grad():
        assert len(single(rows, use_cache=True).past_key_values.layers) == 3 + 2 + 2 + 1


# ---------------------------------------------------------------------- what must not matter


@pytest.mark.parametrize("sizes", [[26], [1], [2], [5], [1, 4, 2]], ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
def test_cached_equals_uncached(
    variant: str, sizes: list[int], make_model: Make, rows: Tensor, assert_close: Close
) -> None:
    model = make_model(**VARIANTS[variant])
    with torch.no_grad():
        expected = model(rows, output_selector_weights=True)
    found, weights = in_chunks(model, rows, sizes)
    assert_close(found, expected.logits)
    if weights is not None:
        assert_close(weights, expected.selector_weights)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("sizes", [[26], [1], [5], [1, 4, 2]], ids=str)
def test_static_caches(
    sizes: list[int], dtype: torch.dtype, make_model: Make, rows: Tensor, assert_close: Close
) -> None:
    model = make_model(patch_size=3).to(dtype)
    cache = StaticCache(config=model.config, max_cache_len=33)
    found, weights = in_chunks(model, rows, sizes, cache)
    with torch.no_grad():
        expected = model(rows, output_selector_weights=True)
    assert_close(found.float(), expected.logits.float(), tolerance=1e-5 if dtype == torch.float32 else 0.1)
    assert weights.dtype == torch.float32


@pytest.mark.parametrize("architecture", ["gpt2", "opt", "gpt_neox", "bloom", "mixtral"])
def test_other_text_models(
    architecture: str,
    make_text_model: Callable[..., PreTrainedModel],
    make_model: Make,
    rows: Tensor,
    assert_close: Close,
) -> None:
    model = make_model(make_text_model(architecture), patch_size=3)
    found = logits(model, rows)
    for number, row in enumerate(rows):
        assert_close(found[number], reference(model, row)[0])
    assert_close(in_chunks(model, rows, [1, 4, 2])[0], found)


@pytest.mark.parametrize("cached", [False, True])
def test_padding_anywhere(cached: bool, make_model: Make, rows: Tensor, assert_close: Close) -> None:
    model = make_model(patch_size=3)
    holes = [[0, 0, 0], [7, 8, 20], [2, 26, 26]]  # places before which padding is put
    padded, mask, place = [], [], []
    for row, before in zip(rows.tolist(), holes, strict=True):
        made, real = list(row), [1] * len(row)
        for hole in sorted(before, reverse=True):
            made.insert(hole, model.config.id_space.pad_speech)
            real.insert(hole, 0)
        padded.append(made)
        mask.append(real)
        place.append([t for t, flag in enumerate(real) if flag])
    batch, mask_tensor = torch.tensor(padded), torch.tensor(mask)
    if cached:
        found = in_chunks(model, batch, [1, 4, 2], attention_mask=mask_tensor)[0]
    else:
        found = logits(model, batch, attention_mask=mask_tensor)
    for number, places in enumerate(place):
        assert_close(found[number, places], logits(model, rows[number : number + 1])[0])


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_future_changes_nothing_before(variant: str, make_model: Make, rows: Tensor, assert_close: Close) -> None:
    model = make_model(**VARIANTS[variant])
    full = logits(model, rows)
    for end in range(1, rows.shape[1], 3):
        changed = torch.cat([rows[:, :end], rows[[1, 2, 0], end:]], dim=1)
        assert_close(logits(model, changed)[:, :end], full[:, :end])
        assert_close(logits(model, rows[:, :end]), full[:, :end])


@pytest.mark.parametrize("architecture", ["llama", "opt"], ids=["end to end", "side by side"])
def test_packed_equals_separate_with_gradients(
    architecture: str,
    make_text_model: Callable[..., PreTrainedModel],
    make_model: Make,
    write: Write,
    assert_close: Close,
    gradients: Callable[..., dict[str, Tensor]],
) -> None:
    changes = {} if architecture == "llama" else {"dropout": 0.0}
    model = make_model(make_text_model(architecture, **changes), patch_size=3, layer_mix="static")
    assert model.config.packs_documents == (architecture == "llama")
    # Borders inside speech, behind a rest of a patch and behind a full one; a document without any kept position.
    documents = ["ttsuuuuu", "uuuuustt", "uu", "tttt", "uuusttsuuuu", "ttsuuu", "suuuuuuuuu"]
    lengths = [len(row) for row in documents]
    packed = torch.cat([write(model.config.id_space, row, seed=n) for n, row in enumerate(documents)], dim=1)
    number = torch.repeat_interleave(torch.arange(len(documents)), torch.tensor(lengths))[None]
    apart = packed.split(lengths, dim=1)
    # A second row of other lengths, so that one of them is filled up.
    batch, ids = torch.cat([packed, packed.flip(1)]), torch.cat([number, number.flip(1)])
    found = logits(model, batch, document_ids=ids)
    for row, part in zip(apart, found[:1].split(lengths, dim=1), strict=True):
        assert_close(part, logits(model, row))
    for row, part in zip(apart[::-1], found[1:].split(lengths[::-1], dim=1), strict=True):
        assert_close(part, logits(model, row.flip(1)))

    labels = [row.masked_fill(row == model.config.switch_id, -100) for row in apart]
    for label in labels:
        label[:, 0] = -100
    count = sum(int((label != -100).sum()) for label in labels)
    together = gradients(
        model, input_ids=packed, labels=torch.cat(labels, dim=1), document_ids=number, num_items_in_batch=count
    )
    summed: dict[str, Tensor] = {}
    for row, label in zip(apart, labels, strict=True):
        for name, gradient in gradients(model, input_ids=row, labels=label, num_items_in_batch=count).items():
            summed[name] = summed.get(name, 0) + gradient
    for name, gradient in summed.items():
        torch.testing.assert_close(together[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


def test_several_codebooks(
    make_model: Make, written: Callable[..., tuple[Tensor, Tensor]], assert_close: Close
) -> None:
    model = make_model(patch_size=3, num_codebooks=3)
    ids, codes = written(model.config.id_space, "ttse7stts5e", "5esttttts7e")
    with torch.no_grad():
        whole = model(ids, codes=codes)
        cache, found = None, []
        for start in range(0, ids.shape[1], 2):
            output = model(
                ids[:, start : start + 2], codes=codes[:, start : start + 2], past_key_values=cache, use_cache=True
            )
            cache = output.past_key_values
            found.append(output)
    assert_close(torch.cat([output.logits for output in found], dim=1), whole.logits)
    assert_close(torch.cat([output.codebook_logits for output in found], dim=1), whole.codebook_logits)


# ---------------------------------------------------------------------- training


@pytest.mark.parametrize("row", [ROWS[0], "tttttttt", "uuuuuuuu", "uu"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_learns(
    variant: str, row: str, make_model: Make, write: Write, gradients: Callable[..., dict[str, Tensor]]
) -> None:
    model = make_model(**VARIANTS[variant])
    ids = write(model.config.id_space, row)
    found = gradients(model, input_ids=ids, labels=ids)
    assert set(found) == {name for name, _ in model.named_parameters()}
    assert all(gradient.isfinite().all() for gradient in found.values())
    if row == ROWS[0]:
        assert min(gradient.abs().max() for gradient in found.values()) > 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_loss_is_the_nll_of_the_logits(variant: str, make_model: Make, rows: Tensor) -> None:
    model = make_model(entropy_weight=0.0, **VARIANTS[variant])
    with torch.no_grad():
        output = model(rows, labels=rows)
        scored = model.nll(rows, rows)
    nll = -output.logits[:, :-1].log_softmax(-1).gather(-1, rows[:, 1:, None])[..., 0]
    wanted = nll < 1e30  # some units of these rows are followed by text without a switch
    torch.testing.assert_close(output.loss, nll[wanted].mean())
    torch.testing.assert_close(scored[:, 1:][wanted], nll[wanted])


def test_what_is_told_lies_on_the_time_grid(make_model: Make, rows: Tensor) -> None:
    model = make_model(patch_size=3)
    with torch.no_grad():
        output = model(rows, output_selector_weights=True, output_hidden_states=True)
    weights = output.selector_weights
    assert weights.shape == (3, 26, 3)
    assert [tuple(state.shape) for state in output.hidden_states] == [(3, 26, 32)] * 4
    opens = [[0, 0], [1, 2], [2, 2]]  # rows that open with units have nothing to read before the first kept position
    for number, none in opens:
        assert not weights[number, :none].any() and not output.hidden_states[-1][number, :none].any()
        torch.testing.assert_close(weights[number, none:].sum(-1), torch.ones(26 - none))
    entropy = -torch.special.xlogy(weights, weights).sum(-1).mean()
    torch.testing.assert_close(output.selector_entropy, entropy)
    # Inside of a patch positions read what the last kept one does.
    assert torch.equal(weights[0, 6], weights[0, 5]) and not torch.equal(weights[0, 8], weights[0, 7])


def test_saved_and_loaded(make_model: Make, rows: Tensor, assert_close: Close, tmp_path: Path) -> None:
    model = make_model(patch_size=3)
    model.save_pretrained(tmp_path)
    loaded = SmolTolkForCausalLM.from_pretrained(tmp_path).eval()
    assert loaded.config.patch_size == 3
    assert_close(logits(loaded, rows), logits(model, rows), tolerance=1e-6)


# ---------------------------------------------------------------------- decoding


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}, {"do_sample": True}], ids=["greedy", "beams", "sampling"])
@pytest.mark.parametrize("prompt", ["tttsuuuu", "uuuustt", "ttts", "uu"])
def test_generation_with_and_without_cache(
    prompt: str, settings: dict[str, Any], make_model: Make, write: Write
) -> None:
    model = make_model(patch_size=3, predict_switch=True)
    prompts = write(model.config.id_space, prompt, prompt)
    ways: list[dict[str, Any]] = [
        {"use_cache": False},
        {"use_cache": True},
        {"cache_implementation": "static", "disable_compile": True},
    ]
    if len(prompt) > 4:
        ways.append({"prefill_chunk_size": 3})
    found = []
    for way in ways:
        torch.manual_seed(0)
        kept = {"max_new_tokens": 9, "pad_token_id": 0, "do_sample": False} | settings | way
        found.append(model.generate(prompts, attention_mask=torch.ones_like(prompts), **kept))
    assert found[0].shape == (2, len(prompt) + 9)
    assert all(torch.equal(other, found[0]) for other in found[1:])


def test_left_padded_prompts(make_model: Make, write: Write) -> None:
    model = make_model(patch_size=3)
    prompts = [write(model.config.id_space, row) for row in ("tttttt", "uuuu", "ttsuuuuusttt", "uuuuus")]
    longest = max(prompt.shape[1] for prompt in prompts)
    batch = torch.cat([torch.nn.functional.pad(row, (longest - row.shape[1], 0)) for row in prompts])
    lengths = torch.tensor([row.shape[1] for row in prompts])
    mask = (torch.arange(longest) >= longest - lengths[:, None]).long()
    settings = {"max_new_tokens": 8, "pad_token_id": 0, "do_sample": False}
    found = model.generate(batch, attention_mask=mask, **settings)[:, longest:]
    for number, row in enumerate(prompts):
        alone = model.generate(row, attention_mask=torch.ones_like(row), **settings)
        assert torch.equal(found[number], alone[0, row.shape[1] :])


class OnTheGrid(torch.nn.Module):
    def __init__(self, model: SmolTolkForCausalLM):
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.model(input_ids, use_cache=True).logits


def test_export(make_model: Make, rows: Tensor, assert_close: Close) -> None:
    model = make_model(patch_size=3)
    with torch.no_grad():
        with pytest.raises(InputError, match=r"unit patches without a cache.*\n.*use_cache=True"):
            torch.export.export(model, (rows,), strict=False)
        length = {1: torch.export.Dim("length", min=3, max=100)}
        program = torch.export.export(OnTheGrid(model), (rows[:, :9].clone(),), dynamic_shapes=(length,), strict=False)
        for other in (rows, rows.flip(0), rows[:, :17]):
            assert_close(program.module()(other), model(other).logits)


def test_prompt_lookup(make_model: Make, write: Write) -> None:
    """Drafts that are refused are cut out of the cache again."""
    model = make_model(patch_size=3)
    prompts = write(model.config.id_space, "ttts" + "uuuuuu")
    settings = {"max_new_tokens": 12, "pad_token_id": 0, "do_sample": False, "attention_mask": torch.ones_like(prompts)}
    assert torch.equal(
        model.generate(prompts, prompt_lookup_num_tokens=3, **settings), model.generate(prompts, **settings)
    )


# ---------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"patch_size": 0}, "patches have at least one unit"),
        ({"patch_size": 2, "layer_mix_pool": "all"}, "the layer mix is of the backbone's layers"),
        ({"patch_size": 2, "published_spans": True}, "spans are the model's own"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, Any], rule: str, make_model: Make) -> None:
    with pytest.raises(InputError, match=rule):
        make_model(**settings)
