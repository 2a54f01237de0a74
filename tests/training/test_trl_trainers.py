"""TRL's trainers over two heads: what they are told is the model's own, and one step is the step it should be."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast, Trainer, TrainingArguments

from smoltolk.common.errors import InputError, MissingExtraError
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.trl_trainers import _statistic, trl_trainer

HAS_TRL = importlib.util.find_spec("trl") is not None
needs_trl = pytest.mark.skipif(not HAS_TRL, reason="the extra 'trl', see `make more`")
TRAINED: dict[str, Any] = {
    "use_cpu": True,
    "report_to": [],
    "save_strategy": "no",
    "disable_tqdm": True,
    "logging_steps": 1,
    "max_steps": 1,
    "optim": "sgd",
    "learning_rate": 0.5,
    "lr_scheduler_type": "constant",
    "max_grad_norm": 0.0,
    "bf16": False,
}


@pytest.fixture(autouse=True)
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def make(architecture: str = "llama", **settings: Any) -> SmolTolkForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"num_key_value_heads": 2}
    config = AutoConfig.for_model(architecture, vocab_size=257, bos_token_id=0, eos_token_id=0, **sizes)
    text_model = AutoModelForCausalLM.from_config(config)
    model = SmolTolkForCausalLM.from_text_model(text_model, num_units=20, **({"entropy_weight": 0.0} | settings))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


@pytest.fixture(scope="module")
def model() -> SmolTolkForCausalLM:
    """Read only."""
    return make()


def rows(model: SmolTolkForCausalLM, number: int = 4) -> list[list[int]]:
    """Text and speech in turn, a prompt id among them, of uneven lengths."""
    space, generator = model.config.id_space, torch.Generator().manual_seed(1)
    found = []
    for row in range(number):
        ids: list[int] = [space.begin_prompt]
        for run in range(3):
            low, high = (space.speech_offset, space.eos_speech) if run % 2 else (1, 257)
            ids += [*torch.randint(low, high, (3 + row,), generator=generator).tolist(), space.switch]
        found.append(ids[:-1])
    return found


def batch_of(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, mask


def nll_of(model: SmolTolkForCausalLM, rows: list[list[int]]) -> Tensor:
    """[B, T] of everything that is predicted, 0 elsewhere."""
    ids, mask = batch_of(rows)
    with torch.no_grad():
        nll = model.nll(ids, ids.masked_fill(mask == 0, -100), mask)
    return torch.where(nll.isfinite(), nll, 0.0)


# ---------------------------------------------------------------------- without TRL


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("settings", [{}, {"predict_switch": True}, {"num_codebooks": 2, "codebook_delays": [0, 0]}])
def test_what_is_asked_of_each_label(settings: dict[str, Any], temperature: float) -> None:
    model = make(**settings)
    space = model.config.id_space
    ids = torch.tensor(rows(model)[2])[None]
    inputs: dict[str, Tensor] = {}
    if space.num_codebooks > 1:
        frame = (ids >= space.speech_offset)[..., None]
        inputs["codes"] = torch.where(frame, ids[..., None] % 20, -1)
    fields = ("entropy", "log_sum_sq_probs", "mean_logits", "is_top1")
    with torch.no_grad():
        output = model(ids, **inputs)
        found = model(ids, labels=ids, output_nll=_statistic(temperature, fields), **inputs).nll[0]
    for place in range(1, ids.shape[1]):
        logits, label = output.logits[0, place - 1], ids[0, place]
        if logits[label] < -1e30:
            assert found[place].isinf().all()
            continue
        parts = [(logits, label)]
        if space.num_codebooks > 1 and label >= space.speech_offset:
            parts.append((output.codebook_logits[0, place - 1, 0], inputs["codes"][0, place, 0]))
        expected = torch.zeros(6)
        for scores, wanted in parts:
            possible = scores > -1e30
            held = scores[possible] / temperature
            log_probs = held.log_softmax(-1)
            own = log_probs[int(possible[:wanted].sum())]
            expected += torch.stack(
                [
                    own,
                    -(log_probs.exp() * log_probs).sum(),
                    log_probs.exp().square().sum().log(),
                    held.mean(),
                    (own == log_probs.max()).float(),
                    torch.tensor(1.0),
                ]
            )
        torch.testing.assert_close(found[place], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(HAS_TRL, reason="TRL is installed")
def test_without_trl() -> None:
    with pytest.raises(MissingExtraError, match="trl"):
        trl_trainer("SFTTrainer")


def test_one_matrix_for_all_is_refused_by_name(model: SmolTolkForCausalLM) -> None:
    """TRL's own head looks for it."""
    with pytest.raises(AttributeError, match="trl_trainer"):
        _ = model(torch.tensor([[3, 4]])).last_hidden_state
    assert not hasattr(model(torch.tensor([[3, 4]])), "last_hidden_state")


# ---------------------------------------------------------------------- with TRL


def sft(
    model: SmolTolkForCausalLM, tokenizer: Any, folder: Path, dataset: list[dict], each: int = 4, **options: Any
) -> Any:
    from trl import SFTConfig

    peft_config, collator = options.pop("peft_config", None), options.pop("data_collator", None)
    settings = TRAINED | {"per_device_train_batch_size": each, "gradient_accumulation_steps": len(dataset) // each}
    return trl_trainer("SFTTrainer")(
        model,
        args=SFTConfig(str(folder), **(settings | options)),
        train_dataset=Dataset.from_list(dataset),
        eval_dataset=Dataset.from_list(dataset),
        processing_class=copy.deepcopy(tokenizer),
        peft_config=peft_config,
        data_collator=collator,
    )


@needs_trl
@pytest.mark.parametrize(("each", "predict_switch"), [(4, False), (2, False), (1, True)])
def test_fine_tuning_is_the_step_of_the_models_own_loss(
    each: int, predict_switch: bool, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """Whatever the accumulation, though TRL counts <switch> and prompt ids among the labels."""
    model = make(predict_switch=predict_switch)
    data = rows(model)
    nll = nll_of(model, data)
    mean = nll.sum() / (nll > 0).sum()
    trained = copy.deepcopy(model)
    trainer = sft(trained, byte_tokenizer, tmp_path, [{"input_ids": row} for row in data], each)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(float(mean), rel=1e-4)
    trainer.train()
    log = next(entry for entry in trainer.state.log_history if "loss" in entry)
    assert log["loss"] == pytest.approx(float(mean), rel=1e-4)
    assert 0 < log["entropy"] < 6 and 0 <= log["mean_token_accuracy"] <= 1

    own = copy.deepcopy(model).train()
    ids, mask = batch_of(data)
    own(ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss.backward()
    for (name, found), one in zip(trained.named_parameters(), own.parameters(), strict=True):
        assert one.grad is not None
        torch.testing.assert_close(found, one - 0.5 * one.grad, rtol=1e-4, atol=1e-5, msg=name)


@needs_trl
def test_packed_rows(model: SmolTolkForCausalLM, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """TRL tells packed documents apart by positions that restart."""
    data = rows(model)
    nll = nll_of(model, data)
    options = {"packing": True, "max_length": 64, "eval_packing": True, "per_device_eval_batch_size": 4}
    trainer = sft(copy.deepcopy(model), byte_tokenizer, tmp_path, [{"input_ids": row} for row in data], **options)
    assert len(trainer.train_dataset) < len(data)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(float(nll.sum() / (nll > 0).sum()), rel=1e-4)


@needs_trl
def test_lora_in_bfloat16(model: SmolTolkForCausalLM, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """TRL's own defaults: autocast and gradient checkpointing."""
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")
    options = {"peft_config": config, "bf16": True, "learning_rate": 0.05, "max_steps": 3}
    data = rows(model)
    trainer = sft(copy.deepcopy(model), byte_tokenizer, tmp_path, [{"input_ids": row} for row in data], **options)
    assert trainer.args.gradient_checkpointing
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    nll = nll_of(model, data)
    assert losses[0] == pytest.approx(float(nll.sum() / (nll > 0).sum()), rel=3e-2) and losses[2] < losses[0]


@needs_trl
def test_frames_of_several_codebooks(byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    model = make(num_codebooks=2, codebook_delays=[0, 0])
    data = [{"input_ids": row} for row in rows(model)]

    def collate(batch: list[dict]) -> dict[str, Tensor]:
        ids, mask = batch_of([one["input_ids"] for one in batch])
        speech = (ids >= model.config.speech_offset) & mask.bool()
        codes = torch.where(speech[..., None], ids[..., None] % 20, -1)
        return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100), "codes": codes}

    batch = collate(data)
    with torch.no_grad():
        nll = model.nll(batch["input_ids"], batch["labels"], batch["attention_mask"], codes=batch["codes"])
    nll = torch.where(nll.isfinite(), nll, 0.0)
    options = {"data_collator": collate, "remove_unused_columns": False}
    trainer = sft(model, byte_tokenizer, tmp_path, data, **options)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(float(nll.sum() / (nll > 0).sum()), rel=1e-4)
    with torch.no_grad():
        told = trainer.model.eval()(**batch, fused_lm_head=True)
        plain = trainer.model(**(batch | {"labels": None}))
    first = plain.logits[:, :-1].argmax(-1) == batch["input_ids"][:, 1:]
    second = plain.codebook_logits[:, :-1, 0].argmax(-1) == batch["codes"][:, 1:, 0]
    silent = batch["codes"][:, 1:, 0] < 0
    right = first & (second | silent) & told.label_mask
    assert (first & ~second & ~silent & told.label_mask).any()  # half a frame is right somewhere
    assert torch.equal(told.is_top1, right)  # and does not count
    torch.testing.assert_close(told.log_probs, -nll[:, 1:])
    trainer.train()


def pairs(model: SmolTolkForCausalLM) -> list[dict[str, list[int]]]:
    """Spoken answers to written prompts, the better one first."""
    data = rows(model, 8)
    start = [row.index(model.config.switch_id) + 1 for row in data]
    return [
        {"prompt_ids": one[:cut], "chosen_ids": one[cut:], "rejected_ids": other[cut:]}
        for one, other, cut in zip(data[:4], data[4:], start, strict=False)
    ]


def dpo(model: Any, tokenizer: Any, folder: Path, data: list[dict], **options: Any) -> Any:
    from trl import DPOConfig

    parts = {name: options.pop(name, None) for name in ("ref_model", "peft_config")}
    settings = TRAINED | {"per_device_train_batch_size": 4, "max_steps": 4, "learning_rate": 0.02, "beta": 0.5}
    return trl_trainer("DPOTrainer")(
        model,
        args=DPOConfig(str(folder), **(settings | options)),
        train_dataset=Dataset.from_list(data),
        processing_class=copy.deepcopy(tokenizer),
        **parts,
    )


@needs_trl
@pytest.mark.parametrize("way", ["a reference model", "computed before", "LoRA"])
def test_preferences(
    way: str, model: SmolTolkForCausalLM, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """Of spoken answers: scores are those of the model, and the better answer gains."""
    data = pairs(model)
    options: dict[str, Any] = {"ref_model": copy.deepcopy(model)}
    if way == "computed before":
        options = {"precompute_ref_log_probs": True}
    elif way == "LoRA":
        peft = pytest.importorskip("peft")
        options = {"peft_config": peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")}
        options["learning_rate"] = 0.2
    trainer = dpo(copy.deepcopy(model), byte_tokenizer, tmp_path, data, **options)
    trainer.train()
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert logs[0]["loss"] == pytest.approx(0.6931, abs=1e-3)  # log 2: nothing has been learned yet
    for which in ("chosen", "rejected"):
        whole = [one["prompt_ids"] + one[f"{which}_ids"] for one in data]
        nll = nll_of(model, whole)
        said = sum(float(row[len(one["prompt_ids"]) :].sum()) for one, row in zip(data, nll, strict=True))
        assert logs[0][f"logps/{which}"] == pytest.approx(-said / len(data), rel=1e-4)
    assert logs[3]["loss"] < logs[0]["loss"] and logs[3]["rewards/margins"] > 0


@needs_trl
def test_preferences_of_text(
    model: SmolTolkForCausalLM, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """Given as TRL knows them."""
    data = [{"prompt": "say ", "chosen": "yes", "rejected": "no, never"}] * 4
    trainer = dpo(copy.deepcopy(model), byte_tokenizer, tmp_path, data, ref_model=copy.deepcopy(model))
    trainer.train()
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert logs[0]["loss"] == pytest.approx(0.6931, abs=1e-3) and logs[3]["loss"] < logs[0]["loss"]


@needs_trl
def test_other_models_and_trainers(byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """A model of one head is trained as ever; a trainer that needs other things is refused."""
    from trl.trainer import sft_trainer

    theirs = sft_trainer.add_fused_lm_head
    text_model = make().backbone
    trainer = sft(text_model, byte_tokenizer, tmp_path, [{"input_ids": [3, 4, 5, 6]}] * 4)
    trainer.train()
    assert sft_trainer.add_fused_lm_head is theirs
    for name in ("RewardTrainer", "NoTrainer", "__version__"):
        with pytest.raises(InputError, match="score the labels"):
            trl_trainer(name)


@needs_trl
def test_mixtures_of_experts(byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """Their balance is asked for by TRL unless it is told not to."""
    data = [{"input_ids": row} for row in rows(make())]
    model = make("mixtral")
    with pytest.raises(InputError, match="router_aux_loss_coef"):
        sft(copy.deepcopy(model), byte_tokenizer, tmp_path, data).train()
    sft(model, byte_tokenizer, tmp_path, data, router_aux_loss_coef=0.0).train()


@needs_trl
def test_the_same_step_as_transformers_trainer(
    model: SmolTolkForCausalLM, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    row = rows(model)[1]
    data = [{"input_ids": row, "labels": row}] * 4
    one, other = copy.deepcopy(model), copy.deepcopy(model)
    sft(one, byte_tokenizer, tmp_path, [{"input_ids": row}] * 4).train()
    arguments = TrainingArguments(str(tmp_path), per_device_train_batch_size=4, **TRAINED)
    Trainer(other, arguments, train_dataset=Dataset.from_list(data)).train()
    for (name, found), expected in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5, msg=name)
