"""Padding (``attention_mask`` 0) may stand anywhere in a row, and changes nothing of what is real."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]
Close = Callable[..., None]
PLACES = ("left", "right", "middle", "spread")
# Spans and switches on both sides of every half; the second opens with speech, the last is short.
ROWS = ("tttsuuuuusttt", "uuuuusttsuuuu", "ttttttttttttt", "suuusttsuuuuu", "tsuu")


def rows_of(model: SmolTolkForCausalLM, write: Callable[..., Tensor]) -> list[Tensor]:
    return [write(model.config.id_space, row, seed=n)[0] for n, row in enumerate(ROWS)]


def fillers(model: SmolTolkForCausalLM) -> list[int]:
    """Whatever lies at padding positions is never looked at."""
    space = model.config.id_space
    return [0, space.switch, space.speech_offset + 1, space.pad_speech]


@torch.no_grad()
def alone(model: SmolTolkForCausalLM, rows: list[Tensor], **inputs: Any) -> list[Any]:
    return [model(row[None], labels=row[None], **inputs) for row in rows]


@pytest.mark.parametrize("places", PLACES)
def test_logits_and_loss_of_padded_rows(
    places: str,
    settings: dict[str, Any],
    make_model: Make,
    write: Callable[..., Tensor],
    padded: Callable,
    assert_close: Close,
    nll_of_logits: Callable[..., tuple[Tensor, Tensor]],
    without_entropy: Callable[..., Tensor],
) -> None:
    model = make_model(**settings)
    rows = rows_of(model, write)
    single = alone(model, rows)
    scores = [nll_of_logits(one.logits, row[None]) for one, row in zip(single, rows, strict=True)]
    nll = sum(found.sum() for found, _ in scores) / sum(predicted.sum() for _, predicted in scores)
    for filler in fillers(model):
        ids, mask = padded(rows, places, filler)
        for inputs in ({}, {"use_cache": True}):
            with torch.no_grad():
                output = model(ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100), **inputs)
            for number, one in enumerate(single):
                assert_close(output.logits[number : number + 1, mask[number].bool()], one.logits)
            torch.testing.assert_close(without_entropy(model, output), nll)
            assert output.logits.isfinite().all()
        if single[0].selector_entropy is not None:
            mean = sum(one.selector_entropy * len(row) for one, row in zip(single, rows, strict=True))
            torch.testing.assert_close(output.selector_entropy, mean / sum(len(row) for row in rows))


@pytest.mark.parametrize("places", PLACES)
def test_gradients_of_padded_rows(
    places: str, make_model: Make, write: Callable[..., Tensor], padded: Callable, gradients: Callable
) -> None:
    model = make_model(entropy_weight=0.0)
    rows = rows_of(model, write)[:3]
    ids, mask = padded(rows, places, model.config.id_space.pad_speech)
    labels = ids.masked_fill(mask == 0, -100)
    found = gradients(model, input_ids=ids, attention_mask=mask, labels=labels)
    expected = gradients(model, input_ids=torch.stack(rows), labels=torch.stack(rows))
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("architecture", ["opt", "gpt2", "qwen3", "gemma2", "bloom", "gpt_neox"])
def test_any_text_model(
    architecture: str,
    places: str,
    make_text_model: Callable[..., PreTrainedModel],
    make_model: Make,
    write: Callable[..., Tensor],
    padded: Callable,
    assert_close: Close,
) -> None:
    """Positions from a table, by rotation, by ALiBi; sliding windows, which count slots as in all of transformers."""
    if architecture == "gemma2" and places in ("middle", "spread"):
        pytest.skip("a gap lies inside the window")
    changes = {"gemma2": {"sliding_window": 5, "head_dim": 8}}.get(architecture, {})
    model = make_model(make_text_model(architecture, **changes))
    rows = rows_of(model, write)
    single = alone(model, rows)
    ids, mask = padded(rows, places, model.config.id_space.pad_speech)
    for inputs in ({}, {"use_cache": True}):
        with torch.no_grad():
            found = model(ids, attention_mask=mask, **inputs).logits
        for number, one in enumerate(single):
            assert_close(found[number : number + 1, mask[number].bool()], one.logits)


@pytest.mark.parametrize("size", [1, 4, 7])
@pytest.mark.parametrize("places", PLACES)
def test_in_chunks_with_a_cache(
    places: str, size: int, make_model: Make, write: Callable[..., Tensor], padded: Callable, assert_close: Close
) -> None:
    """A chunk may be all padding for some rows, or end inside a gap, or between a ``<switch>`` and its speech."""
    model = make_model()
    rows = rows_of(model, write)
    single = alone(model, rows)
    ids, mask = padded(rows, places, model.config.id_space.switch)
    cache, found = None, []
    for start in range(0, ids.shape[1], size):
        end = start + size
        with torch.no_grad():
            output = model(ids[:, start:end], attention_mask=mask[:, :end], past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        found.append(output.logits)
    logits = torch.cat(found, dim=1)
    for number, one in enumerate(single):
        assert_close(logits[number : number + 1, mask[number].bool()], one.logits)


def test_second_turns(make_model: Make, write: Callable[..., Tensor]) -> None:
    """A batch is answered, its answers end at different places, and the next turn is written behind them."""
    model = make_model()
    space = model.config.id_space
    first = [write(space, row, seed=n)[0] for n, row in enumerate(("ttt", "tttsuuu"))]
    answers = [write(space, row, seed=9 + n)[0] for n, row in enumerate(("tts", "u"))]
    turn = write(space, "uusttsuu")[0]
    settings = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    alone = []
    for one, answer in zip(first, answers, strict=True):
        prompt = torch.cat([one, answer, turn])[None]
        made = model.generate(prompt, attention_mask=torch.ones_like(prompt), **settings)
        alone.append(made[0, prompt.shape[1] :])
    for filler in fillers(model):
        ids, mask = torch.full((2, 7 + 3 + 8), filler), torch.zeros(2, 18, dtype=torch.long)
        for number, (one, answer) in enumerate(zip(first, answers, strict=True)):
            for part, place in ((one, 7 - len(one)), (answer, 7), (turn, 10)):
                ids[number, place : place + len(part)] = part
                mask[number, place : place + len(part)] = 1
        for use_cache in (True, False):
            made = model.generate(ids, attention_mask=mask, use_cache=use_cache, **settings)
            assert torch.equal(made[:, 18:], torch.stack(alone))


def test_an_empty_row(make_model: Make, write: Callable[..., Tensor], assert_close: Close) -> None:
    """A row of nothing but padding makes no row around it wrong, and no number that is not finite."""
    model = make_model()
    row = write(model.config.id_space, "ttsuuustt")
    ids, mask = row.repeat(3, 1), torch.ones(3, 9, dtype=torch.long)
    mask[1] = 0
    labels = ids.masked_fill(mask == 0, -100)
    with torch.no_grad():
        expected = model(row, labels=row)
        for inputs in ({}, {"use_cache": True}):
            output = model(ids, attention_mask=mask, labels=labels, **inputs)
            assert output.logits.isfinite().all()
            assert_close(output.logits[[0, 2]], expected.logits.expand(2, -1, -1))
            torch.testing.assert_close(output.loss, expected.loss)
        nothing = model(ids, attention_mask=torch.zeros_like(mask), labels=torch.full_like(ids, -100))
    assert nothing.loss == 0 and nothing.logits.isfinite().all()


@pytest.mark.parametrize("architecture", ["llama", "opt"])
@pytest.mark.parametrize("inside", [False, True], ids=["between documents", "inside of them"])
def test_padding_of_packed_documents(
    inside: bool,
    architecture: str,
    make_text_model: Callable[..., PreTrainedModel],
    make_model: Make,
    write: Callable[..., Tensor],
    assert_close: Close,
) -> None:
    """Between documents it changes nothing; inside of one that is told apart by its positions, it is refused."""
    model = make_model(make_text_model(architecture))
    space = model.config.id_space
    documents = [write(space, row)[0] for row in ("ttsuuuu", "uuuustts", "suuusttttt")]
    ids, numbers, mask = [], [], []
    for number, row in enumerate(documents):
        cut = 4 if inside else len(row)
        ids += [row[:cut], torch.full((2,), space.switch), row[cut:]]
        numbers.append(torch.full((len(row) + 2,), number))
        place = torch.arange(len(row) + 2)
        mask.append((place < cut) | (place >= cut + 2))
    real = torch.cat(mask)
    inputs = {"attention_mask": real[None].long(), "document_ids": torch.cat(numbers)[None]}
    with torch.no_grad():
        expected = torch.cat([model(row[None]).logits for row in documents], dim=1)
        try:
            found = model(torch.cat(ids)[None], **inputs).logits[:, real]
        except InputError as error:
            assert inside and "padding" in str(error)
            return
    assert_close(found, expected)


@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("delays", [[0, 0, 0], [0, 1, 2]])
def test_several_codebooks(
    places: str,
    delays: list[int],
    make_model: Make,
    written: Callable[..., tuple[Tensor, Tensor]],
    padded: Callable,
    assert_close: Close,
) -> None:
    model = make_model(num_codebooks=3, codebook_delays=delays)
    space = model.config.id_space
    pairs = [written(space, row) for row in ("tts4stts3stt", "4sttttts3e", "tttttttttts2.")]
    rows, codes = [ids[0] for ids, _ in pairs], [beside[0] for _, beside in pairs]
    for filler in (0, space.switch, space.pad_speech):
        ids, mask, beside = padded(rows, places, filler, codes)
        labels = ids.masked_fill(mask == 0, -100)
        for inputs in ({}, {"use_cache": True}):
            with torch.no_grad():
                found = model(ids, attention_mask=mask, codes=beside, **inputs)
            for number, (row, own) in enumerate(zip(rows, codes, strict=True)):
                with torch.no_grad():
                    single = model(row[None], codes=own[None])
                real = mask[number].bool()
                assert_close(found.logits[number : number + 1, real], single.logits)
                assert_close(found.codebook_logits[number : number + 1, real], single.codebook_logits)
        with torch.no_grad():
            together = model(ids, attention_mask=mask, codes=beside, labels=labels)
            apart = [model(row[None], codes=own[None], labels=row[None]) for row, own in zip(rows, codes, strict=True)]
        counts = [int((row[1:] != space.switch).sum()) for row in rows]
        nll = sum(
            (one.loss + model.config.entropy_weight * one.selector_entropy) * count
            for one, count in zip(apart, counts, strict=True)
        ) / sum(counts)
        torch.testing.assert_close(together.loss + model.config.entropy_weight * together.selector_entropy, nll)


@pytest.mark.parametrize("predict_switch", [False, True])
def test_where_padding_parts_the_end_of_a_run(
    predict_switch: bool, make_model: Make, written: Callable[..., tuple[Tensor, Tensor]]
) -> None:
    """What follows by rule is found from the real positions: between the pads of a run, and behind one cut short."""
    model = make_model(num_codebooks=3, predict_switch=predict_switch)
    space = model.config.id_space
    for row, cut in (("tts3stt", 0), ("tts2e", 0), ("tttts3e", 2)):
        ids, codes = (part[:, : part.shape[1] - cut] for part in written(space, row))
        pads = (ids[0] == space.pad_speech).nonzero().flatten().tolist()
        with torch.no_grad():
            expected = model(ids, codes=codes, labels=ids).loss
        for filler in (0, space.switch, space.pad_speech, space.eos_speech):
            for place in (*pads, pads[0] + 1, ids.shape[1]):
                parts = (ids[:, :place], torch.full((1, 3), filler), ids[:, place:])
                mask = torch.ones(1, ids.shape[1] + 3, dtype=torch.long)
                mask[:, place : place + 3] = 0
                silent = codes.new_full((1, 3, 2), -1)
                batch = torch.cat(parts, dim=1)
                inputs = {
                    "codes": torch.cat([codes[:, :place], silent, codes[:, place:]], dim=1),
                    "labels": batch.masked_fill(mask == 0, -100),
                }
                with torch.no_grad():
                    torch.testing.assert_close(model(batch, attention_mask=mask, **inputs).loss, expected)
