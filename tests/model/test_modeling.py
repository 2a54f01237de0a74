"""The model as a whole: what must hold for every row, batch and variant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from smoltolk.model.modality import document_starts
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.spans import find_spans

Make = Callable[..., SmolTolkForCausalLM]
Close = Callable[..., None]
Gradients = Callable[..., dict[str, Tensor]]
Write = Callable[..., Tensor]

NARROW = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "early fusion": {"num_input_layers": 0, "num_output_layers": 0, "layer_mix": "last", "speech_residual": False},
    "late fusion only": {"num_output_layers": 0, "layer_mix": "last"},
    "late fission only": {"num_input_layers": 0, "layer_mix": "last"},
    "last layer": {"layer_mix": "last"},
    "static mix": {"layer_mix": "static"},
    "no residual": {"speech_residual": False},
    "untied tables": {"tie_speech_embeddings": False},
    "split top layers": {
        "num_input_layers": 0,
        "num_output_layers": 2,
        "speech_residual": False,
        "layer_mix": "fixed",
        "fission_layer": 1,
        "copies_top_layers": True,
    },
    "inserted layers": {
        "num_input_layers": 0,
        "num_output_layers": 0,
        "layer_mix": "last",
        "speech_residual": False,
        "new_layers": [0, 2],
    },
    "predicted switch": {"predict_switch": True},
    "normed mix": {"layer_mix_norm": True},
    "mix of all layers": {"layer_mix_pool": "all", "num_input_layers": 1},
    "narrow adapters": {"input_adapter_size": NARROW, "output_adapter_size": NARROW, "speech_residual": False},
    "narrow, all layers": {
        "input_adapter_size": NARROW,
        "output_adapter_size": NARROW,
        "speech_residual": False,
        "layer_mix_pool": "all",
        "layer_mix_norm": True,
    },
    "two widths": {
        "input_adapter_size": NARROW,
        "output_adapter_size": {"hidden_size": 24},
        "speech_residual": False,
        "tie_speech_embeddings": False,
    },
    "narrow tables only": {
        "input_adapter_size": {"hidden_size": 16},
        "output_adapter_size": {"hidden_size": 16},
        "num_input_layers": 0,
        "num_output_layers": 0,
        "speech_residual": False,
    },
}


def logits(model: SmolTolkForCausalLM, input_ids: Tensor, **inputs: Any) -> Tensor:
    with torch.no_grad():
        return model(input_ids, **inputs).logits


def in_chunks(model: SmolTolkForCausalLM, input_ids: Tensor, size: int) -> Tensor:
    cache, found = None, []
    with torch.no_grad():
        for chunk in input_ids.split(size, dim=1):
            output = model(chunk, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            found.append(output.logits)
    return torch.cat(found, dim=1)


# ---------------------------------------------------------------------- what a forward pass gives


def test_one_logits_tensor_over_both_modalities(model: SmolTolkForCausalLM, write: Write) -> None:
    space = model.config.id_space
    found = logits(model, write(space, "ttsuustt"))
    assert found.shape == (1, 8, space.size)
    possible = found[0] > -1e30
    speech_next = [False, False, True, True, True, False, False, False]
    assert possible[:, space.speech_offset :].all(1).tolist() == speech_next
    assert possible[:, space.speech_offset :].any(1).tolist() == speech_next
    assert possible[:, :61].all(1).tolist() == [not flag for flag in speech_next]
    assert not possible[:, [space.begin_prompt, space.end_prompt, space.switch]].any()


def test_predicted_switch_is_possible_in_both_modalities(make_model: Make, write: Write) -> None:
    model = make_model(predict_switch=True)
    space = model.config.id_space
    found = logits(model, write(space, "ttsuu"))[0]
    assert (found[:, space.switch] > -1e30).all()
    assert not (found[:, [space.begin_prompt, space.end_prompt]] > -1e30).any()


def test_hidden_states_and_selector_weights_on_request(model: SmolTolkForCausalLM, ids: Tensor) -> None:
    with torch.no_grad():
        output = model(ids, output_hidden_states=True, output_selector_weights=True)
        plain = model(ids)
    assert plain.hidden_states is None and plain.selector_weights is None
    assert [tuple(state.shape) for state in output.hidden_states] == [(2, 25, 32)] * 4
    assert output.selector_weights.shape == (2, 25, 3)
    torch.testing.assert_close(output.selector_weights.sum(-1), torch.ones(2, 25))
    weights = output.selector_weights
    torch.testing.assert_close(output.selector_entropy, -(weights * weights.log()).sum(-1).mean())


def test_logits_to_keep(model: SmolTolkForCausalLM, ids: Tensor, assert_close: Close) -> None:
    full = logits(model, ids)
    assert_close(logits(model, ids, logits_to_keep=3), full[:, -3:])
    assert_close(logits(model, ids, logits_to_keep=torch.tensor([4, 9])), full[:, [4, 9]])


def test_loss_is_the_nll_of_the_logits(make_model: Make, ids: Tensor) -> None:
    model = make_model(layer_mix="static")
    space = model.config.id_space
    with torch.no_grad():
        output = model(ids, labels=ids)
    nll = -output.logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    wanted = ids[:, 1:] != space.switch  # never predicted by default
    is_speech = ids[:, 1:] >= space.speech_offset
    torch.testing.assert_close(output.loss, nll[wanted].mean())
    torch.testing.assert_close(output.text_loss, nll[wanted & ~is_speech].mean())
    torch.testing.assert_close(output.speech_loss, nll[is_speech].mean())
    training = model.train()(ids, labels=ids)
    assert not training.label_nll.requires_grad and training.label_nll.shape == ids.shape
    for each in (output.label_nll, training.label_nll):  # with and without gradients made at once
        torch.testing.assert_close(each[:, 1:], torch.where(wanted, nll, 0.0))
        assert each[:, 0].eq(0).all()


def test_the_selectors_entropy_lowers_the_loss(make_model: Make, ids: Tensor) -> None:
    losses, entropies = [], []
    for weight in (0.0, 0.5):
        with torch.no_grad():
            output = make_model(entropy_weight=weight)(ids, labels=ids)
        losses.append(output.loss)
        entropies.append(output.selector_entropy)
    torch.testing.assert_close(losses[0] - losses[1], 0.5 * entropies[0])


def test_training_computes_no_logits(model: SmolTolkForCausalLM, ids: Tensor) -> None:
    model.train()
    assert model(ids, labels=ids).logits is None
    model.eval()


@pytest.mark.parametrize("parts", [[4], [2, 2], [1, 3], [1, 1, 1, 1]])
def test_the_entropy_is_the_mean_over_real_positions_whatever_the_micro_batches(
    parts: list[int], make_model: Make, write: Write
) -> None:
    """Text counts, padding does not."""
    model = make_model(entropy_weight=0.7)
    rows = write(model.config.id_space, "ttsuuuuustttttt", "ttttttttttttttt", "uuuuuuuuuuuuuuu", "tttsuuuuuuuusuu")
    mask = torch.ones_like(rows)
    mask[1, 5:], mask[3, 9:] = 0, 0
    labels = rows.masked_fill((mask == 0) | (rows == model.config.switch_id), -100)
    labels[2, 4:] = -100  # micro-batches of very different numbers of labels
    batch = {"input_ids": rows, "attention_mask": mask, "labels": labels}
    counts = {"num_items_in_batch": (labels[:, 1:] != -100).sum(), "num_positions_in_batch": mask.sum()}
    with torch.no_grad():
        weights = model(**batch, output_selector_weights=True).selector_weights
        entropy = -(weights * weights.log()).sum(-1)[mask.bool()].mean()
        plain = make_model(entropy_weight=0.0)(**batch).loss
        loss, positions, entropies = 0.0, 0, 0.0
        for part in zip(*(value.split(parts) for value in batch.values()), strict=True):
            output = model(**dict(zip(batch, part, strict=True)), **counts)
            loss, positions = loss + output.loss, positions + output.num_positions
            entropies = entropies + output.selector_entropy * output.num_positions
    torch.testing.assert_close(loss, plain - 0.7 * entropy)
    torch.testing.assert_close(entropies / positions, entropy)
    assert positions == mask.sum()


def test_where_labels_alone_are_counted_the_entropy_is_shared_by_them(make_model: Make, write: Write) -> None:
    """As a plain Trainer counts: of each micro-batch as much as its share of the labels, whatever is masked in it."""
    model, plain = make_model(entropy_weight=0.7), make_model(entropy_weight=0.0)
    rows = write(model.config.id_space, "ttsuuuuustttttt", "uuuuuuuuuuuuuuu")
    labels = rows.masked_fill(rows == model.config.switch_id, -100)
    labels[1, 4:] = -100
    shares = (labels[:, 1:] != -100).sum(1) / (labels[:, 1:] != -100).sum()
    assert shares.tolist() == pytest.approx([12 / 15, 3 / 15])
    for row, label, share in zip(rows.split(1), labels.split(1), shares, strict=True):
        with torch.no_grad():
            found, without = (m(row, labels=label, num_items_in_batch=15) for m in (model, plain))
        torch.testing.assert_close(without.loss - found.loss, 0.7 * share * found.selector_entropy)


# ---------------------------------------------------------------------- what must not matter


@pytest.mark.parametrize("size", [25, 7, 1], ids=["prefill", "chunks", "one by one"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_cached_equals_uncached(variant: str, size: int, make_model: Make, ids: Tensor, assert_close: Close) -> None:
    model = make_model(**VARIANTS[variant])
    assert_close(in_chunks(model, ids, size), logits(model, ids))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_of_every_variant_learns(
    variant: str, make_model: Make, ids: Tensor, gradients: Gradients
) -> None:
    model = make_model(**VARIANTS[variant])
    found = gradients(model, input_ids=ids, labels=ids)
    assert set(found) == {name for name, _ in model.named_parameters()}
    assert all(gradient.isfinite().all() for gradient in found.values())
    speech = [gradient.abs().max() for name, gradient in found.items() if not name.startswith("backbone.")]
    assert min(speech) > 0


def test_left_padded_rows_of_different_modalities(
    model: SmolTolkForCausalLM, write: Write, assert_close: Close
) -> None:
    space = model.config.id_space
    rows = [write(space, row) for row in ("tttttt", "uuuu", "ttsuuuuusttt", "uuusttts")]
    longest = max(row.shape[1] for row in rows)
    for filler in (0, space.pad_speech):
        batch = torch.full((len(rows), longest), filler)
        mask = torch.zeros_like(batch)
        for number, row in enumerate(rows):
            batch[number, longest - row.shape[1] :] = row
            mask[number, longest - row.shape[1] :] = 1
        for found in (
            logits(model, batch, attention_mask=mask),
            logits(model, batch, attention_mask=mask, use_cache=True),
        ):
            for number, row in enumerate(rows):
                assert_close(found[number : number + 1, -row.shape[1] :], logits(model, row))


def test_right_padding_changes_nothing(model: SmolTolkForCausalLM, ids: Tensor, assert_close: Close) -> None:
    padded = torch.nn.functional.pad(ids, (0, 4), value=model.config.id_space.pad_speech)
    mask = torch.ones_like(padded)
    mask[:, -4:] = 0
    assert_close(logits(model, padded, attention_mask=mask)[:, :-4], logits(model, ids))


@pytest.mark.parametrize("architecture", ["llama", "opt"], ids=["end to end", "side by side"])
def test_packed_equals_unpacked_with_gradients(
    architecture: str,
    make_model: Make,
    make_text_model: Callable[..., PreTrainedModel],
    write: Write,
    assert_close: Close,
    gradients: Gradients,
) -> None:
    changes = {} if architecture == "llama" else {"dropout": 0.0}
    model = make_model(make_text_model(architecture, **changes), layer_mix="static")
    assert model.config.packs_documents == (architecture == "llama")
    documents = ["ttsuuuuu", "uuuuustt", "tttt", "uuusttsuuuu"]  # a border inside speech ends the span
    packed = torch.cat([write(model.config.id_space, row) for row in documents], dim=1)
    lengths = [len(row) for row in documents]
    document_ids = torch.repeat_interleave(torch.arange(4), torch.tensor(lengths))[None]
    rows = [row for row in packed.split(lengths, dim=1)]

    found = logits(model, packed, document_ids=document_ids).split(lengths, dim=1)
    for row, part in zip(rows, found, strict=True):
        assert_close(part, logits(model, row))

    labels = packed.masked_fill((packed == model.config.switch_id) | document_starts(document_ids), -100)
    num_items = int((labels != -100).sum())
    together = gradients(
        model, input_ids=packed, labels=labels, document_ids=document_ids, num_items_in_batch=num_items
    )
    apart: dict[str, Tensor] = {}
    for row, label in zip(rows, labels.split(lengths, dim=1), strict=True):
        for name, gradient in gradients(model, input_ids=row, labels=label, num_items_in_batch=num_items).items():
            apart[name] = apart.get(name, 0) + gradient
    for name, gradient in apart.items():
        torch.testing.assert_close(together[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


def test_packed_documents_with_padding(model: SmolTolkForCausalLM, write: Write, assert_close: Close) -> None:
    first, second = (write(model.config.id_space, row) for row in ("ttsuuuu", "uuustt"))
    batch = torch.cat([torch.zeros(1, 3, dtype=torch.long), first, second], dim=1)
    mask = (torch.arange(16) >= 3).long()[None]
    document_ids = torch.tensor([[0] * 10 + [1] * 6])  # the padding lies in the first document's number
    found = logits(model, batch, attention_mask=mask, document_ids=document_ids)
    assert_close(found[:, 3:10], logits(model, first))
    assert_close(found[:, 10:], logits(model, second))


@pytest.mark.parametrize("architecture", ["llama", "opt"])
def test_positions_that_restart_tell_documents_apart(
    architecture: str,
    make_model: Make,
    make_text_model: Callable[..., PreTrainedModel],
    write: Write,
    assert_close: Close,
) -> None:
    """As padding-free collators of transformers and TRL write them."""
    model = make_model(make_text_model(architecture))
    rows = [write(model.config.id_space, row) for row in ("ttsuuuuu", "uuuuustt", "sttt")]
    packed = torch.cat(rows, dim=1)
    lengths = [row.shape[1] for row in rows]
    position_ids = torch.cat([torch.arange(length) for length in lengths])[None]
    documents = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths))[None]
    with torch.no_grad():
        expected = model(packed, document_ids=documents, labels=packed)
        for more in ({"position_ids": position_ids}, {"seq_idx": documents}):
            found = model(packed, labels=packed, **more)
            assert_close(found.logits, expected.logits)
            torch.testing.assert_close(found.loss, expected.loss)
    for row, part in zip(rows, found.logits.split(lengths, dim=1), strict=True):
        assert_close(part, logits(model, row))


def test_documents_side_by_side_keep_their_positions(
    make_model: Make, make_text_model: Callable[..., PreTrainedModel], write: Write, assert_close: Close
) -> None:
    model = make_model(make_text_model("gpt2"))
    rows = write(model.config.id_space, "ttsuuuuuustt")
    documents = torch.tensor([[0] * 5 + [1] * 7])
    position_ids = torch.tensor([[*range(5), *range(20, 27)]])  # the second one goes on far behind
    whole = logits(model, rows, document_ids=documents, position_ids=position_ids)
    model.config.packs_documents = not model.config.packs_documents
    assert_close(logits(model, rows, document_ids=documents, position_ids=position_ids), whole)
    assert (logits(model, rows, document_ids=documents) - whole)[:, 5:].abs().max() > 1e-3


def test_spans_found_by_the_collator(model: SmolTolkForCausalLM, ids: Tensor) -> None:
    spans = (find_spans(ids >= model.config.speech_offset),)
    assert torch.equal(logits(model, ids, spans=spans), logits(model, ids))


@pytest.mark.parametrize("pool", ["backbone", "all"])
def test_span_batch_equals_masked_grid(pool: str, make_model: Make, ids: Tensor, assert_close: Close) -> None:
    model = make_model(layer_mix_pool=pool)
    with torch.no_grad():
        side_by_side = model(ids, output_hidden_states=True)
        on_grid = model(ids, output_hidden_states=True, use_cache=True)
    assert_close(on_grid.hidden_states[0], side_by_side.hidden_states[0])
    assert_close(on_grid.logits, side_by_side.logits)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_future_changes_nothing_before(variant: str, make_model: Make, write: Write, assert_close: Close) -> None:
    model = make_model(**VARIANTS[variant])
    space = model.config.id_space
    past, future, other = (write(space, row, seed=seed) for row, seed in (("ttsuuu", 0), ("uustt", 1), ("sttts", 2)))
    first = logits(model, torch.cat([past, future], dim=1))[:, :6]
    assert_close(logits(model, torch.cat([past, other], dim=1))[:, :6], first)
    assert_close(logits(model, past), first)


def test_inputs_are_not_changed(model: SmolTolkForCausalLM, ids: Tensor) -> None:
    inputs = {
        "input_ids": ids.clone(),
        "labels": ids.clone(),
        "attention_mask": torch.ones_like(ids),
        "document_ids": torch.zeros_like(ids),
    }
    before = {name: value.clone() for name, value in inputs.items()}
    with torch.no_grad():
        model(**inputs)
    assert all(torch.equal(inputs[name], value) for name, value in before.items())


def test_gradient_checkpointing_changes_nothing(make_model: Make, ids: Tensor, gradients: Gradients) -> None:
    plain, frugal = make_model(), make_model()
    frugal.gradient_checkpointing_enable()
    expected = gradients(plain, input_ids=ids, labels=ids)
    found = gradients(frugal, input_ids=ids, labels=ids)
    assert set(found) == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-6, msg=name)


def test_accumulated_batches_equal_one_large_batch(make_model: Make, write: Write, gradients: Gradients) -> None:
    model = make_model(entropy_weight=0.0)
    rows = [write(model.config.id_space, row) for row in ("ttsuuuuustttttt", "tttttttttttttts")]
    labels = [row.masked_fill(row == model.config.switch_id, -100) for row in rows]
    labels[1][:, 2:] = -100  # the rows predict very different numbers of ids: the second one
    num_items = sum(int((label[:, 1:] != -100).sum()) for label in labels)
    large = gradients(model, input_ids=torch.cat(rows), labels=torch.cat(labels), num_items_in_batch=num_items)
    small = [
        gradients(model, input_ids=row, labels=label, num_items_in_batch=num_items)
        for row, label in zip(rows, labels, strict=True)
    ]
    for name, gradient in large.items():
        total = sum(part[name] for part in small if name in part)
        torch.testing.assert_close(total, gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_a_batch_without_speech_or_without_text(model: SmolTolkForCausalLM, write: Write) -> None:
    for row in ("tttttt", "uuuuuu"):
        input_ids = write(model.config.id_space, row)
        with torch.no_grad():
            output = model(input_ids, labels=input_ids)
        assert output.loss.isfinite() and output.logits.isfinite().all()


# ---------------------------------------------------------------------- the text model inside


def test_text_in_text_out_is_the_bare_backbone(
    make_text_model: Callable[..., PreTrainedModel], make_model: Make, write: Write, assert_close: Close
) -> None:
    text_model = make_text_model()
    model = make_model(text_model)
    text = write(model.config.id_space, "tttttttttt", "tttttttttt")
    with torch.no_grad():
        expected = text_model(text).logits.log_softmax(-1)
    assert_close(logits(model, text).log_softmax(-1)[..., : expected.shape[-1]], expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_saved_and_loaded_to_the_bit(
    variant: str, make_model: Make, ids: Tensor, assert_close: Close, tmp_path: Path
) -> None:
    model = make_model(**VARIANTS[variant])
    model.save_pretrained(tmp_path)
    loaded = SmolTolkForCausalLM.from_pretrained(tmp_path).eval()
    assert all(getattr(loaded.config, name) == value for name, value in VARIANTS[variant].items())
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name
    # Loaded matrices may lie at other addresses, for which a matrix library may round differently.
    assert_close(logits(loaded, ids), logits(model, ids), tolerance=1e-6)


def test_auto_classes(model: SmolTolkForCausalLM, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is type(model.config)
    assert type(AutoModelForCausalLM.from_pretrained(tmp_path)) is SmolTolkForCausalLM


def test_bfloat16(make_model: Make, ids: Tensor) -> None:
    """Within its rounding, it is the same model; with a cache, too."""
    model, exact = make_model().to(torch.bfloat16), make_model()
    with torch.no_grad():
        expected = exact(ids, labels=ids)
        for cached in (False, True):
            output = model(ids, labels=ids, use_cache=cached)
            possible = expected.logits > -1e30
            assert output.logits.dtype == torch.bfloat16 and torch.equal(output.logits > -1e30, possible)
            difference = (output.logits.float() - expected.logits)[possible].norm() / expected.logits[possible].norm()
            assert 0 < difference < 0.03
            torch.testing.assert_close(output.loss.float(), expected.loss, rtol=0.02, atol=0.02)


# ---------------------------------------------------------------------- mistakes
