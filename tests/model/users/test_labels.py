"""One rule of what is predicted, for loss, counts and divisor alike: a label that its position's logits allow."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, Trainer, TrainingArguments

from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]

# In each row 2 of the 16 ids that are asked for are <switch>: every pass has the same share of them.
ROWS = ("tttttsuuuuuuusttt", "uuuuuustttsuuuuuu", "tttsuuuuuuuuuustt", "uuusttttttttttsuu")


def unpredictable(model: SmolTolkForCausalLM) -> dict[str, int]:
    """Ids that stand in rows and that no position predicts without ``predict_switch``."""
    space, rows = model.config.id_space, model.backbone.get_input_embeddings().weight.shape[0]
    found = {"<begin prompt>": space.begin_prompt, "<end prompt>": space.end_prompt, "<switch>": space.switch}
    spare = getattr(space, "num_text_ids", rows)  # rows of the padded table that the text model did not bring
    return found | ({"spare": spare} if spare < rows else {})


@pytest.mark.parametrize("which", ["<begin prompt>", "<end prompt>", "<switch>", "spare"])
def test_an_id_that_no_head_predicts(
    which: str, make_model: Make, write: Callable[..., Tensor], gradients: Callable
) -> None:
    model = make_model()
    special = unpredictable(model)
    if which not in special:
        pytest.skip("this text table has no spare rows")
    ids = write(model.config.id_space, "tttttsuuuuuuusttt")
    for place in (3, 6, 9):  # among text, where speech begins, among speech
        labels = ids.masked_fill(ids == model.config.switch_id, -100)
        without = labels.clone()
        labels[:, place], without[:, place] = special[which], -100
        with torch.no_grad():
            found, expected = (model(ids, labels=one) for one in (labels, without))
        for name in ("loss", "text_loss", "speech_loss"):
            assert torch.equal(found[name], expected[name]), name
        learned = gradients(model, input_ids=ids, labels=labels)
        for name, gradient in gradients(model, input_ids=ids, labels=without).items():
            assert torch.equal(learned[name], gradient), name


def test_an_id_of_the_other_modality(make_model: Make, write: Callable[..., Tensor]) -> None:
    model = make_model()
    space = model.config.id_space
    ids = write(space, "tttttsuuuuuuusttt")
    for place, wrong in ((3, space.speech_offset), (3, space.eos_speech), (9, 5), (6, 5), (14, space.speech_offset)):
        labels = ids.clone()
        labels[:, place] = wrong
        with torch.no_grad():
            found, expected = (
                model(ids, labels=one).loss for one in (labels, labels.index_fill(1, torch.tensor(place), -100))
            )
        assert torch.equal(found, expected)


def test_nothing_that_can_be_predicted(make_model: Make, write: Callable[..., Tensor], gradients: Callable) -> None:
    """A micro-batch of prompts alone: loss 0, and a gradient for every parameter, or processes would wait."""
    model = make_model()
    ids = write(model.config.id_space, "ttttuuuu")
    for labels in (torch.full_like(ids, -100), torch.full_like(ids, model.config.id_space.begin_prompt)):
        found = gradients(model, input_ids=ids, labels=labels, num_items_in_batch=7)
        assert set(found) == {name for name, _ in model.named_parameters()}
        assert all(gradient.isfinite().all() for gradient in found.values())
        with torch.no_grad():
            output = model(ids, labels=labels)
        assert (output.text_loss, output.speech_loss) == (0, 0) and output.loss.isfinite()


# ---------------------------------------------------------------------- transformers' own Trainer


def train(
    model: SmolTolkForCausalLM, rows: list[dict[str, Tensor]], folder: Path, each: int, **settings: Any
) -> tuple[float, SmolTolkForCausalLM]:
    """One step of plain SGD over all rows, ``each`` in a pass; the logged loss and what came of it."""
    model = copy.deepcopy(model)
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=1,
        per_device_train_batch_size=each,
        gradient_accumulation_steps=len(rows) // each,
        logging_steps=1,
        learning_rate=0.5,
        lr_scheduler_type="constant",
        optim="sgd",
        max_grad_norm=0.0,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        **settings,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=rows)  # type: ignore[arg-type]
    trainer.train()
    return trainer.state.log_history[0]["loss"], model.eval()


def mean_nll(model: SmolTolkForCausalLM, ids: Tensor, nll_of_logits: Callable) -> Tensor:
    with torch.no_grad():
        nll, predicted = nll_of_logits(model(ids).logits, ids)
    return nll.sum() / predicted.sum()


@pytest.mark.parametrize(("predict_switch", "each"), product([False, True], [4, 2, 1]))
def test_trainer_divides_by_what_is_predicted(
    predict_switch: bool,
    each: int,
    make_model: Make,
    write: Callable[..., Tensor],
    nll_of_logits: Callable,
    tmp_path: Path,
) -> None:
    """``labels = input_ids``, whatever the accumulation: transformers counts all labels that are not -100."""
    model = make_model(entropy_weight=0.0, predict_switch=predict_switch)
    ids = write(model.config.id_space, *ROWS)
    rows = [{"input_ids": row, "labels": row} for row in ids]
    expected = mean_nll(model, ids, nll_of_logits)
    loss, trained = train(model, rows, tmp_path, each)
    assert loss == pytest.approx(float(expected), rel=1e-4)
    _, whole = train(model, rows, tmp_path, each=4)
    for (name, found), other in zip(trained.named_parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(found, other, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("each", [4, 2, 1])
def test_trainer_with_labels_of_uneven_rows(
    each: int, make_model: Make, write: Callable[..., Tensor], nll_of_logits: Callable, tmp_path: Path
) -> None:
    """Labels that leave out what is not predicted, as our collator's do: exact, however uneven the passes are."""
    model = make_model(entropy_weight=0.0)
    ids = write(model.config.id_space, "tttttttttttttt", "tttsuuuuuuuuuu", "suuuusttsuustt", "uuuuuuuuuuuuuu")
    labels = ids.masked_fill(ids == model.config.switch_id, -100)
    for number, length in enumerate((2, 13, 9, 5)):
        labels[number, length:] = -100
    rows = [{"input_ids": row, "labels": label} for row, label in zip(ids, labels, strict=True)]
    with torch.no_grad():
        nll, predicted = nll_of_logits(model(ids).logits, labels)
    loss, _ = train(model, rows, tmp_path, each)
    assert loss == pytest.approx(float(nll.sum() / predicted.sum()), rel=1e-4)


def test_trainers_evaluation(
    make_model: Make, write: Callable[..., Tensor], nll_of_logits: Callable, tmp_path: Path
) -> None:
    model = make_model(entropy_weight=0.0)
    ids = write(model.config.id_space, *ROWS)
    rows = [{"input_ids": row, "labels": row} for row in ids]
    arguments = TrainingArguments(
        output_dir=str(tmp_path), per_device_eval_batch_size=4, use_cpu=True, report_to=[], disable_tqdm=True
    )
    expected = float(mean_nll(model, ids, nll_of_logits))
    for inner in (model, make_model(entropy_weight=0.0).to(torch.bfloat16)):
        trainer = Trainer(model=inner, args=arguments, eval_dataset=rows)  # type: ignore[arg-type]
        assert trainer.evaluate()["eval_loss"] == pytest.approx(expected, rel=1e-4 if inner is model else 2e-2)


def test_trainers_predictions(make_model: Make, write: Callable[..., Tensor], tmp_path: Path) -> None:
    """Of everything that a forward pass gives, Trainer gathers the logits alone."""
    model = make_model()
    ids = write(model.config.id_space, *ROWS)
    rows = [{"input_ids": row, "labels": row} for row in ids]
    arguments = TrainingArguments(
        output_dir=str(tmp_path), per_device_eval_batch_size=3, use_cpu=True, report_to=[], disable_tqdm=True
    )
    found = Trainer(model=model, args=arguments).predict(rows)  # type: ignore[arg-type]
    with torch.no_grad():
        expected = model(ids).logits
    torch.testing.assert_close(torch.from_numpy(found.predictions), expected, rtol=1e-5, atol=1e-4)
    assert found.label_ids.tolist() == ids.tolist()


def test_a_text_model_with_spare_rows(
    make_text_model: Callable[..., PreTrainedModel], make_model: Make, write: Callable[..., Tensor]
) -> None:
    """Rows that fill the table up are impossible, and no label."""
    model = make_model(make_text_model(vocab_size=61))
    special = unpredictable(model)
    ids = write(model.config.id_space, "ttttsuuu")
    with torch.no_grad():
        logits = model(ids).logits
    for name, number in special.items():
        assert (logits[..., number] <= torch.finfo(logits.dtype).min).all(), name
