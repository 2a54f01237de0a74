"""The loss is the mean NLL of the model's own logits over what they can predict, in every setting."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from smoltolk.common.errors import InputError
from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]
Nll = Callable[..., tuple[Tensor, Tensor]]

ROWS = ("tttttsuuuuuuustttsuuuuuuu", "uuuuuuusttttttttttttttttt", "suuuusttsusttsuuuusttttsu")


def scrambled(labels: Tensor, high: int, seed: int = 0) -> Tensor:
    """Half of the labels as they are; the others not predicted, or any id there is."""
    generator = torch.Generator().manual_seed(seed)
    anything = torch.randint(0, high, labels.shape, generator=generator)
    kind = torch.rand(labels.shape, generator=generator)
    return torch.where(kind < 0.5, labels, torch.where(kind < 0.7, -100, anything))


def ways(model: SmolTolkForCausalLM, write: Callable[..., Tensor]) -> dict[str, dict[str, Any]]:
    """Inputs of every kind."""
    space = model.config.id_space
    ids = write(space, *ROWS)
    every = torch.arange(space.size)[None].roll(1)  # each id there is as a label, behind one position or another
    documents = torch.tensor([[0] * 9 + [1] * 6 + [2] * 10]).expand(3, -1)
    found: dict[str, dict[str, Any]] = {
        "plain": {"input_ids": ids, "labels": ids},
        "every id as a label of a text position": {"input_ids": torch.full_like(every, 3), "labels": every},
        "every id as a label of a speech position": {
            "input_ids": torch.full_like(every, space.speech_offset + 3),
            "labels": every,
        },
        "documents": {"input_ids": ids, "labels": ids, "document_ids": documents},
        "documents, any label": {
            "input_ids": ids,
            "labels": scrambled(ids, space.size),
            "document_ids": documents,
        },
    }
    return found


def check(
    model: SmolTolkForCausalLM,
    inputs: dict[str, Any],
    nll_of_logits: Nll,
    without_entropy: Callable[..., Tensor],
    tolerance: float = 1e-5,
) -> None:
    labels = inputs["labels"]
    if "document_ids" in inputs:  # nothing is predicted across a border
        borders = inputs["document_ids"].diff(dim=1, prepend=inputs["document_ids"][:, :1] - 1) != 0
        labels = labels.masked_fill(borders, -100)
    with torch.no_grad():
        output = model(**inputs)
    nll, predicted = nll_of_logits(output.logits, labels)
    # <switch> is predicted by the softmax of what it ends: by the units' where a unit could follow as well.
    units = output.logits[:, :-1, model.config.speech_offset] > torch.finfo(output.logits.dtype).min / 2
    speech = predicted & torch.nn.functional.pad(units, (1, 0))
    text = predicted & ~speech
    close = {"rtol": tolerance, "atol": tolerance}
    expected = nll.sum() / predicted.sum().clamp(min=1)
    torch.testing.assert_close(without_entropy(model, output).float(), expected, **close)
    torch.testing.assert_close(output.text_loss.float(), nll[text].sum() / text.sum().clamp(min=1), **close)
    torch.testing.assert_close(output.speech_loss.float(), nll[speech].sum() / speech.sum().clamp(min=1), **close)
    if hasattr(output, "num_text"):
        assert (int(output.num_text), int(output.num_speech)) == (int(text.sum()), int(speech.sum()))


@pytest.mark.parametrize("predict_switch", [False, True], ids=["switch given", "switch predicted"])
def test_the_loss_is_the_nll_of_the_logits(
    predict_switch: bool,
    settings: dict[str, Any],
    make_model: Make,
    write: Callable[..., Tensor],
    nll_of_logits: Nll,
    without_entropy: Callable[..., Tensor],
) -> None:
    for tied in (True, False):
        try:
            model = make_model(**(settings | {"predict_switch": predict_switch, "tie_speech_embeddings": tied}))
        except InputError:  # tables of two widths cannot be tied
            assert tied and "output_adapter_size" in settings
            continue
        failed = {}
        for name, inputs in ways(model, write).items():
            try:
                check(model, inputs, nll_of_logits, without_entropy)
            except AssertionError as error:
                failed[name] = str(error).splitlines()[2]
        assert not failed, failed


@pytest.mark.parametrize("predict_switch", [False, True], ids=["switch given", "switch predicted"])
def test_in_bfloat16_autocast(
    predict_switch: bool,
    make_model: Make,
    write: Callable[..., Tensor],
    nll_of_logits: Nll,
    without_entropy: Callable[..., Tensor],
) -> None:
    model = make_model(predict_switch=predict_switch)
    for inputs in ways(model, write).values():
        with torch.autocast("cpu", torch.bfloat16):
            check(model, inputs, nll_of_logits, without_entropy, tolerance=3e-2)


@pytest.mark.parametrize(
    ("tied", "predict_switch", "delays"), product([True, False], [False, True], [[0, 0, 0], [0, 1, 2], [0, 1, 1]])
)
def test_several_codebooks(
    tied: bool,
    predict_switch: bool,
    delays: list[int],
    make_model: Make,
    written: Callable[..., tuple[Tensor, Tensor]],
    nll_of_logits: Nll,
    without_entropy: Callable[..., Tensor],
) -> None:
    model = make_model(
        num_codebooks=3, codebook_delays=delays, tie_speech_embeddings=tied, predict_switch=predict_switch
    )
    space, tail = model.config.id_space, max(delays)
    input_ids, codes = written(space, "tts4stts3sts2e")
    labels = scrambled(input_ids, space.size, seed=1)
    with torch.no_grad():
        output = model(input_ids, codes=codes, labels=labels)
    led, predicted = nll_of_logits(output.logits, labels)
    # Of the pads that end a run only the first is a choice, and before a <switch> only if that is predicted.
    pads = input_ids == space.pad_speech
    first_pad = pads & ~torch.nn.functional.pad(pads, (1, 0))[:, :-1]
    closes = torch.nn.functional.pad(input_ids, (0, tail), value=-1)[:, tail:] == space.eos_speech
    chosen = ~pads | (first_pad & (closes | predict_switch))
    speech = predicted & torch.nn.functional.pad(output.logits[:, :-1, space.speech_offset] > -1e30, (1, 0))
    # The first codebook's softmax, which <switch> may leave, weighs as much as each other codebook's.
    total = torch.where(predicted & ~speech, led, 0.0).sum() + torch.where(speech & chosen, led, 0.0).sum() / 3
    beside = output.codebook_logits[:, :-1].log_softmax(-1).gather(-1, codes[:, 1:].clamp(min=0)[..., None])[..., 0]
    asked = speech[:, 1:, None] & (codes[:, 1:] >= 0)
    total = total - torch.where(asked, beside, 0.0).sum() / 3
    torch.testing.assert_close(without_entropy(model, output), total / predicted.sum())
