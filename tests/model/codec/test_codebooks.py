"""Several codebooks per frame: all that holds for one holds for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.codec.codebooks import find_runs, frames_of, speaking
from smoltolk.model.ids import IdSpace
from smoltolk.model.modality import document_starts
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.reading import Reading
from smoltolk.model.spans import find_spans

Make = Callable[..., SmolTolkForCausalLM]
Close = Callable[..., None]
Gradients = Callable[..., dict[str, Tensor]]
Written = Callable[..., tuple[Tensor, Tensor]]

ROWS = ("tts3stts4e", "e5stts2stt")  # equally long with delays of 2
NARROW = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
VARIANTS: dict[str, dict[str, Any]] = {
    "three": {},
    "two at once": {"codebook_delays": [0, 1, 1]},
    "no delay": {"codebook_delays": [0, 0, 0]},
    "untied tables": {"tie_speech_embeddings": False, "codebook_delays": [0, 2, 1]},
    "early fusion": {"num_input_layers": 0, "num_output_layers": 0, "layer_mix": "last", "speech_residual": False},
    "narrow, all layers": {
        "input_adapter_size": NARROW, "output_adapter_size": NARROW, "speech_residual": False, "layer_mix_pool": "all",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def make(make_model: Make) -> Make:
    def several(text_model: PreTrainedModel | None = None, **changes: Any) -> SmolTolkForCausalLM:
        model = make_model(text_model, **({"num_codebooks": 3} | changes))
        torch.manual_seed(3)
        torch.nn.init.normal_(model.units.further.weight, std=0.5)
        return model

    return several


@pytest.fixture(scope="module")
def model(make: Make) -> SmolTolkForCausalLM:
    """Three codebooks, delays 0, 1, 2. Read only."""
    return make()


def both(model: SmolTolkForCausalLM, ids: Tensor, **inputs: Any) -> Tensor:
    """Logits of ids and of the further codebooks side by side: [B, T, V + U + (Q - 1) K]."""
    with torch.no_grad():
        output = model(ids, **inputs)
    return torch.cat([output.logits, output.codebook_logits.flatten(2)], dim=-1)


def asked(model: SmolTolkForCausalLM, ids: Tensor, codes: Tensor, labels: Tensor) -> Tensor:
    """Columns [B, T, Q] that the labels stand for."""
    return model.heads.asked(model.units, labels, Reading.of(model.config, ids, codes=codes, whole=False)).speech


# ---------------------------------------------------------------------- one codebook is what it was


def test_one_codebook_has_no_part_in_this(make_model: Make) -> None:
    model = make_model()
    ids = torch.tensor([[3, 4, model.config.switch_id, 70, 71]])
    assert not any("codebook" in name for name, _ in model.named_parameters())
    with torch.no_grad():
        output = model(ids, labels=ids)
    assert output.codebook_logits is None and output.codebook_losses is None
    with pytest.raises(InputError, match="codes are for models of several codebooks"):
        model(ids, codes=ids[..., None])


# ---------------------------------------------------------------------- what a forward pass gives


def test_embeddings_are_summed(model: SmolTolkForCausalLM, written: Written) -> None:
    space = model.config.id_space
    ids, codes = written(space, "e2e")
    one, two = model.units.embed.weight, model.units.further.weight.view(2, 22, -1)
    first = ids[0] - space.speech_offset
    END, PAD = 20, 21
    expected = [
        one[END] + two[0, END] + two[1, END],
        one[first[1]] + two[0, PAD] + two[1, PAD],
        one[first[2]] + two[0, codes[0, 2, 0]] + two[1, PAD],
        one[PAD] + two[0, codes[0, 3, 0]] + two[1, codes[0, 3, 1]],
        one[PAD] + two[0, PAD] + two[1, codes[0, 4, 1]],
        one[END] + two[0, END] + two[1, END],
    ]
    torch.testing.assert_close(model.units(Reading.of(model.config, ids, codes=codes))[0], torch.stack(expected))


@pytest.mark.parametrize(("Q", "rows"), [(3, ROWS), (4, ROWS[1:]), (2, ("tts1stt",))])  # of one frame, one unit each
def test_loss_is_the_nll_of_the_logits(Q: int, rows: tuple[str, ...], make: Make, written: Written) -> None:
    model = make(layer_mix="static", num_codebooks=Q)
    space = model.config.id_space
    ids, codes = written(space, *rows)
    with torch.no_grad():
        output = model(ids, codes=codes, labels=ids)
    targets = asked(model, ids, codes, ids)[:, 1:]
    first = -output.logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    others = -output.codebook_logits[:, :-1].log_softmax(-1).gather(-1, targets[..., 1:, None].clamp(min=0))[..., 0]
    others = others.permute(2, 0, 1)
    predicted = targets.permute(2, 0, 1) != -100
    nll = torch.cat([first[None], others])[predicted]
    each = [torch.cat([first[None], others])[q][predicted[q]] for q in range(Q)]
    torch.testing.assert_close(output.codebook_losses, torch.stack([one.mean() for one in each]))
    is_text = (ids[:, 1:] < space.speech_offset) & (ids[:, 1:] != space.switch)
    count = (ids[:, 1:] != space.switch).sum()
    torch.testing.assert_close(output.text_loss, first[is_text].mean())
    torch.testing.assert_close(output.loss, (first[is_text].sum() + nll.sum() / Q) / count)
    torch.testing.assert_close(output.label_nll.sum(), first[is_text].sum() + nll.sum() / Q)
    torch.testing.assert_close(output.speech_loss, nll.sum() / Q / (ids[:, 1:] >= space.speech_offset).sum())


@torch.no_grad()
def test_likelihoods_of_codebooks_apart(model: SmolTolkForCausalLM, written: Written) -> None:
    """Text in the first; together they are the likelihood of the whole."""
    ids, codes = written(model.config.id_space, *ROWS)
    apart, whole = (model.nll(ids, ids, codes=codes, apart=flag) for flag in (True, False))
    assert apart.shape == (*ids.shape, 3)
    torch.testing.assert_close(apart.sum(-1), whole)
    is_text, is_speech = ids < model.config.switch_id, ids >= model.config.speech_offset
    assert apart[is_text][:, 0].any() and not apart[is_text][:, 1:].any()
    is_speech[:, 0] = False
    assert torch.equal(apart[is_speech] > 0, asked(model, ids, codes, ids)[is_speech] != -100)


def test_weights_of_codebooks(make: Make, written: Written) -> None:
    losses = {}
    for weights in (None, [1.0, 1.0, 1.0], [3.0, 0.0, 0.0]):
        model = make(codebook_weights=weights, entropy_weight=0.0)
        ids, codes = written(model.config.id_space, "e4e")
        with torch.no_grad():
            output = model(ids, codes=codes, labels=ids)
        losses[str(weights)] = (output.loss, output.codebook_losses)
    (mean, each), (whole, same), (first, _) = losses.values()
    assert torch.equal(each, same)
    torch.testing.assert_close(whole, 3 * mean)
    torch.testing.assert_close(first, 3 * each[0] * 6 / 7)  # of 7 positions 4 units, the first pad and the end


def test_what_is_predicted(model: SmolTolkForCausalLM, make: Make, written: Written) -> None:
    space = model.config.id_space
    ids, codes = written(space, "e2sts2e")
    targets = asked(model, ids, codes, ids)[0]
    first = "".join("x" if asks else "." for asks in targets[:, 0] >= 0)
    #               euu--stsuu--e
    assert first == ".xx.....xxx.x"
    choosing = asked(make(predict_switch=True), ids, codes, ids)[0]
    assert "".join("x" if asks else "." for asks in choosing[:, 0] >= 0) == ".xxx.x..xxx.x"
    assert choosing[3, 0] == 21 and choosing[5, 0] == 22  # the pad that closes the run, and behind it <switch>
    assert torch.equal(targets[:, 1:] >= 0, codes[0] >= 0)
    assert torch.equal(choosing[:, 1:], targets[:, 1:])
    assert (asked(model, ids, codes, torch.full_like(ids, -100)) == -100).all()


def test_a_large_batch_is_summed_in_parts(
    model: SmolTolkForCausalLM, gradients: Gradients, monkeypatch: pytest.MonkeyPatch, written: Written
) -> None:
    ids, codes = written(model.config.id_space, *["e40e"] * 4)
    whole = gradients(model, input_ids=ids, codes=codes, labels=ids)
    monkeypatch.setattr("smoltolk.model.loss.NUMBERS_AT_ONCE", 64 * 66)
    parts = gradients(model, input_ids=ids, codes=codes, labels=ids)
    assert set(parts) == set(whole)
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


# ---------------------------------------------------------------------- what must not matter


@pytest.mark.parametrize("size", [7, 1], ids=["chunks", "one by one"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_cached_equals_uncached(variant: str, size: int, make: Make, assert_close: Close, written: Written) -> None:
    model = make(**VARIANTS[variant])
    ids, codes = written(model.config.id_space, *ROWS)
    cache, found = None, []
    with torch.no_grad():
        for part, others in zip(ids.split(size, 1), codes.split(size, 1), strict=True):
            output = model(part, codes=others, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            found.append(torch.cat([output.logits, output.codebook_logits.flatten(2)], dim=-1))
    assert_close(torch.cat(found, dim=1), both(model, ids, codes=codes))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_learns(variant: str, make: Make, gradients: Gradients, written: Written) -> None:
    model = make(**VARIANTS[variant])
    ids, codes = written(model.config.id_space, *ROWS)
    found = gradients(model, input_ids=ids, codes=codes, labels=ids)
    assert set(found) == {name for name, _ in model.named_parameters()}
    assert all(gradient.isfinite().all() for gradient in found.values())
    assert min(grad.abs().max() for name, grad in found.items() if not name.startswith("backbone.")) > 0


def test_text_alone_leaves_no_table_without_gradient(make: Make, written: Written, gradients: Gradients) -> None:
    model = make(tie_speech_embeddings=False, num_input_layers=0)
    ids, codes = written(model.config.id_space, "tttttt")
    found = gradients(model, input_ids=ids, codes=codes, labels=ids)
    for name in ("units.further.weight", "units.further_unembed.weight"):
        assert name in found and not found[name].any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_future_changes_nothing_before(variant: str, make: Make, assert_close: Close, written: Written) -> None:
    model = make(**VARIANTS[variant])
    ids, codes = written(model.config.id_space, "tts5sttt")
    other_ids, other = written(model.config.id_space, "tts5sttt", seed=1)
    tail = model.config.id_space.tail
    for place in range(3, 8 + tail):  # each position of the run
        mixed = torch.cat([ids[:, :place], other_ids[:, place:]], 1), torch.cat([codes[:, :place], other[:, place:]], 1)
        found = both(model, mixed[0], codes=mixed[1])
        assert_close(found[:, :place], both(model, ids, codes=codes)[:, :place])


def test_each_codebook_counts(model: SmolTolkForCausalLM, written: Written) -> None:
    ids, codes = written(model.config.id_space, "tts5s")
    found = both(model, ids, codes=codes)
    for codebook, place in ((0, 4), (1, 5)):  # the first place where each speaks
        changed = codes.clone()
        changed[0, place, codebook] = (changed[0, place, codebook] + 1) % 20
        other = both(model, ids, codes=changed)
        assert torch.allclose(other[:, :place], found[:, :place], atol=1e-5)
        assert (other[:, place] - found[:, place]).abs().max() > 1e-3


def test_left_padded_rows_of_different_modalities(
    model: SmolTolkForCausalLM, assert_close: Close, written: Written
) -> None:
    space = model.config.id_space
    rows = [written(space, row) for row in ("tttttt", "e3.", "tts5sttt", "2sttts")]
    longest = max(ids.shape[1] for ids, _ in rows)
    for filler in (0, space.pad_speech):
        batch = torch.full((len(rows), longest), filler)
        mask, codes = torch.zeros_like(batch), torch.full((len(rows), longest, 2), -1)
        for number, (ids, others) in enumerate(rows):
            batch[number, longest - ids.shape[1] :] = ids
            codes[number, longest - ids.shape[1] :] = others
            mask[number, longest - ids.shape[1] :] = 1
        for use_cache in (False, True):
            found = both(model, batch, codes=codes, attention_mask=mask, use_cache=use_cache)
            for number, (ids, others) in enumerate(rows):
                assert_close(found[number : number + 1, -ids.shape[1] :], both(model, ids, codes=others))


@pytest.mark.parametrize("architecture", ["llama", "opt"], ids=["end to end", "side by side"])
def test_packed_equals_unpacked_with_gradients(
    architecture: str, make: Make, make_text_model: Callable[..., PreTrainedModel], assert_close: Close,
    gradients: Gradients, written: Written
) -> None:  # fmt: skip
    changes = {} if architecture == "llama" else {"dropout": 0.0}
    model = make(make_text_model(architecture, **changes), layer_mix="static")
    rows = [written(model.config.id_space, row, seed=n) for n, row in enumerate(["tts4e", "e3stt", "tttt", "2s", "e5"])]
    packed, codes = (torch.cat(part, dim=1) for part in zip(*rows, strict=True))
    lengths = [ids.shape[1] for ids, _ in rows]
    document_ids = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(lengths))[None]
    found = both(model, packed, codes=codes, document_ids=document_ids).split(lengths, dim=1)
    for (ids, others), part in zip(rows, found, strict=True):
        assert_close(part, both(model, ids, codes=others))
    labels = packed.masked_fill((packed == model.config.switch_id) | document_starts(document_ids), -100)
    num_items = int((labels != -100).sum())
    together = gradients(
        model, input_ids=packed, codes=codes, labels=labels, document_ids=document_ids, num_items_in_batch=num_items
    )
    apart: dict[str, Tensor] = {}
    for ids, others in rows:
        label = ids.masked_fill(ids == model.config.switch_id, -100)
        each = gradients(model, input_ids=ids, codes=others, labels=label, num_items_in_batch=num_items)
        for name, gradient in each.items():
            apart[name] = apart.get(name, 0) + gradient
    for name, gradient in apart.items():
        torch.testing.assert_close(together[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


def test_accumulated_batches_equal_one_large_batch(make: Make, gradients: Gradients, written: Written) -> None:
    model = make(entropy_weight=0.0)
    ids, codes = written(model.config.id_space, *ROWS)
    labels = ids.masked_fill(ids == model.config.switch_id, -100)
    num_items = int((labels[:, 1:] != -100).sum())
    large = gradients(model, input_ids=ids, codes=codes, labels=labels)
    small = [
        gradients(model, input_ids=one[None], codes=other[None], labels=label[None], num_items_in_batch=num_items)
        for one, other, label in zip(ids, codes, labels, strict=True)
    ]
    for name, gradient in large.items():
        torch.testing.assert_close(sum(part[name] for part in small), gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_gradient_checkpointing_changes_nothing(make: Make, gradients: Gradients, written: Written) -> None:
    plain, frugal = make(), make()
    frugal.gradient_checkpointing_enable()
    ids, codes = written(plain.config.id_space, *ROWS)
    expected = gradients(plain, input_ids=ids, codes=codes, labels=ids)
    found = gradients(frugal, input_ids=ids, codes=codes, labels=ids)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-6, msg=name)


def test_spans_found_by_the_collator(model: SmolTolkForCausalLM, written: Written) -> None:
    ids, codes = written(model.config.id_space, *ROWS)
    spans = (find_spans(ids >= model.config.speech_offset),)
    assert torch.equal(both(model, ids, codes=codes, spans=spans), both(model, ids, codes=codes))


def test_text_needs_no_codes(
    make: Make, make_text_model: Callable[..., PreTrainedModel], assert_close: Close, written: Written
) -> None:
    text_model = make_text_model()
    model = make(text_model)
    ids, _ = written(model.config.id_space, "tttttttt")
    with torch.no_grad():
        expected = text_model(ids).logits.log_softmax(-1)
        found = model(ids).logits.log_softmax(-1)[..., : expected.shape[-1]]
    assert_close(found, expected)
    ids, codes = written(model.config.id_space, "ttsetse")  # nor does the end of speech alone
    assert torch.equal(both(model, ids), both(model, ids, codes=codes))


@pytest.mark.parametrize("variant", VARIANTS)
def test_saved_and_loaded_to_the_bit(
    variant: str, make: Make, assert_close: Close, tmp_path: Path, written: Written
) -> None:
    model = make(**VARIANTS[variant])
    model.save_pretrained(tmp_path)
    loaded = SmolTolkForCausalLM.from_pretrained(tmp_path).eval()
    assert loaded.config.num_codebooks == 3 and loaded.config.codebook_delays == model.config.codebook_delays
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name
    ids, codes = written(model.config.id_space, *ROWS)
    assert_close(both(loaded, ids, codes=codes), both(model, ids, codes=codes), tolerance=1e-6)


def test_new_tables_start_small(make_model: Make) -> None:
    model = make_model(num_codebooks=8, tie_speech_embeddings=False)
    for table in (model.units.further.weight, model.units.further_unembed.weight):
        assert table.shape == (7 * 22, 32) and 0.018 < table.std() < 0.022
    assert {"units.further.weight", "units.further_unembed.weight"} <= model.speech_parameters().keys()


def test_bfloat16(make: Make, written: Written) -> None:
    """Within its rounding, it is the same model."""
    model, exact = make().to(torch.bfloat16), make()
    ids, codes = written(model.config.id_space, *ROWS)
    with torch.no_grad():
        output = model(ids, codes=codes, labels=ids, use_cache=True)
        expected = exact(ids, codes=codes, labels=ids)
    assert output.codebook_logits.dtype == torch.bfloat16
    difference = (output.codebook_logits.float() - expected.codebook_logits).norm() / expected.codebook_logits.norm()
    assert 0 < difference < 0.03
    torch.testing.assert_close(output.loss.float(), expected.loss, rtol=0.02, atol=0.02)


# ---------------------------------------------------------------------- runs and frames


@given(
    st.lists(st.integers(0, 3), max_size=3),
    st.lists(st.sampled_from(["t", "ts", "se", "e", "1", "2s", "5e", "3s"]), min_size=1, max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_any_row_gives_its_frames_back(written: Written, later: list[int], parts: list[str]) -> None:
    space = IdSpace(
        speech_offset=64, num_units=20, begin_prompt=61, end_prompt=62, switch=63, eos_text=1, delays=(0, *later)
    )
    row = "".join(part + "t" if part[-1].isdigit() else part for part in parts)
    ids, codes = written(space, row)
    runs = find_runs(ids, space)
    assert torch.equal(speaking(runs.place, runs.pads, space), codes >= 0)
    found = frames_of(ids[0], codes[0], space)
    assert [len(frames) for frames in found] == [int(letter) for letter in row if letter.isdigit()]
    assert all((frames >= 0).all() for frames in found)


def test_padding_is_no_run(written: Written) -> None:
    space = IdSpace(
        speech_offset=64, num_units=20, begin_prompt=61, end_prompt=62, switch=63, eos_text=1, delays=(0, 1)
    )
    ids, codes = written(space, "e2e")
    ids = torch.cat([ids[0], torch.tensor([space.pad_speech] * 2)])
    codes = torch.cat([codes[0], torch.full((2, 1), -1)])
    assert [len(frames) for frames in frames_of(ids, codes, space)] == [2]


# ---------------------------------------------------------------------- mistakes


def test_a_speech_id_without_its_codebooks(model: SmolTolkForCausalLM, written: Written) -> None:
    ids, codes = written(model.config.id_space, "tts3stt")
    with pytest.raises(InputError, match=r"first of 3 codebooks and needs the others\n.*5 speech ids, no codes"):
        model(ids)
    codes[0, 4, 0] = -1
    with pytest.raises(InputError, match="no unit of codebook 1 at row 0, position 4"):
        model(ids, codes=codes)


def test_codes_where_there_is_no_frame(model: SmolTolkForCausalLM, written: Written) -> None:
    ids, codes = written(model.config.id_space, "tts3stt")
    for place in (0, 3):
        wrong = codes.clone()
        wrong[0, place, 1] = 4
        with pytest.raises(InputError, match=f"a unit of codebook 2 at row 0, position {place}"):
            model(ids, codes=wrong)


def test_frames_that_were_not_delayed(make: Make, written: Written) -> None:
    model, straight = make(), make(codebook_delays=[0, 0, 0])
    ids, codes = written(straight.config.id_space, "tts3stt")
    with pytest.raises(InputError, match=r"\[0, 1, 2\] positions behind the first"):
        model(ids, codes=codes)


@pytest.mark.parametrize("codes", [torch.zeros(1, 8, 3).long(), torch.zeros(1, 7, 2).long(), torch.zeros(1, 8, 2)])
def test_codes_of_another_shape(codes: Tensor, model: SmolTolkForCausalLM) -> None:
    with pytest.raises(InputError, match=r"codes are integers \[B, T, Q - 1\]"):
        model(torch.full((1, 8), 5), codes=codes)


@pytest.mark.parametrize("unit", [-2, 20])
def test_codes_out_of_range(unit: int, model: SmolTolkForCausalLM, written: Written) -> None:
    ids, codes = written(model.config.id_space, "3t")
    codes[0, 2, 0] = unit
    with pytest.raises(InputError, match=r"codes are units 0\.\.19"):
        model(ids, codes=codes)


def test_speech_that_ends_inside_the_delay(model: SmolTolkForCausalLM, written: Written) -> None:
    space = model.config.id_space
    for row in ("tt3.stt", "tt3.e"):
        ids, codes = written(space, row)
        with pytest.raises(InputError, match="ends inside the delay"):
            model(ids, codes=codes)
    ids, codes = written(space, "3t")
    with pytest.raises(InputError, match="ends inside the delay"):
        more = (
            torch.cat([ids[:, :5], ids[:, 4:]], 1),
            torch.cat([codes[:, :5], torch.full((1, 1, 2), -1), codes[:, 5:]], 1),
        )
        model(more[0], codes=more[1])


def test_speech_that_goes_on_behind_a_pad(model: SmolTolkForCausalLM, written: Written) -> None:
    """Under the first pad_speech the end of speech is decided: a unit behind it is no frame of that run."""
    space = model.config.id_space
    ids, codes = written(space, "3t")  # three units, two pad_speech, text
    ids[0, 4], codes[0, 4] = space.speech_offset + 5, torch.tensor([6, 7])
    with pytest.raises(InputError, match="or goes on behind it"):
        model(ids, codes=codes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_codebooks": 0}, "num_codebooks must count something"),
        ({"codebook_delays": [0, 1]}, "codebook_delays has one number, 0 or more, for each codebook"),
        ({"codebook_delays": [1, 0, 0]}, "the first codebook leads"),
        ({"codebook_delays": [0, -1, 0]}, "codebook_delays has one number"),
        ({"codebook_weights": [1.0]}, "codebook_weights has one number"),
        ({"num_codebooks": 1, "codebook_weights": [1.0]}, "leave codebook_weights out"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str, make: Make) -> None:
    with pytest.raises(InputError, match=message):
        make(**changes)
