"""Options that were made for models of one softmax: right over the ids that can follow, or refused by name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    MinPLogitsWarper,
    Trainer,
    TrainingArguments,
    TypicalLogitsWarper,
    WatermarkingConfig,
    WatermarkLogitsProcessor,
)
from transformers.generation.logits_process import (
    EpsilonLogitsWarper,
    EtaLogitsWarper,
    TemperatureLogitsWarper,
    TopHLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from smoltolk.common.errors import InputError
from smoltolk.model.ids import IdSpace
from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]
PROMPTS = ("tttt", "ttsu", "ttts", "uuus", "s")


def possible(space: IdSpace, ids: list[int]) -> bool:
    """Whether each id but ``<switch>`` has the modality that the ids before it ask for; written down once more."""
    speech = before = False
    for number, token in enumerate(ids):
        if token == space.switch:
            speech, before = not before, False
            continue
        if number and (token >= space.speech_offset) != speech:
            return False
        speech = before = token >= space.speech_offset
    return True


def make_more(model: SmolTolkForCausalLM, prompt: Tensor, **options: Any) -> Any:
    torch.manual_seed(0)
    options = {"attention_mask": torch.ones_like(prompt), "max_new_tokens": 8, "do_sample": False} | options
    return model.generate(prompt, return_dict_in_generate=True, output_scores=True, output_logits=True, **options)


def options(space: IdSpace) -> dict[str, dict[str, Any]]:
    """Every option of ``generate()`` that looks at ids or at all scores together."""
    unit, both = space.speech_offset + 2, [space.eos_text, space.eos_speech]
    return {
        "repetition_penalty": {"repetition_penalty": 1.5},
        "min_new_tokens": {"min_new_tokens": 5},
        "suppress_tokens": {"suppress_tokens": [5, unit]},
        "begin_suppress_tokens": {"begin_suppress_tokens": [5, unit]},
        "bad_words_ids": {"bad_words_ids": [[5], [unit, unit + 1]]},
        "sequence_bias": {"sequence_bias": {(5,): 3.0, (unit,): -2.0}},
        "no_repeat_ngram_size": {"no_repeat_ngram_size": 1},
        "exponential_decay_length_penalty": {"exponential_decay_length_penalty": (1, 1.5)},
        "forced_eos_token_id": {"forced_eos_token_id": both},
        "the same, drawn": {"forced_eos_token_id": both, "top_p": 0.4, "do_sample": True},
        "renormalize_logits": {"renormalize_logits": True, "do_sample": True},
        "remove_invalid_values": {"remove_invalid_values": True},
        "typical_p": {"typical_p": 0.6, "do_sample": True},
        "min_p and a temperature": {"min_p": 0.1, "temperature": 0.3, "do_sample": True},
        "high temperature": {"temperature": 4.0, "top_k": 0, "do_sample": True},
        "beams": {"num_beams": 4},
        "many beams": {"num_beams": 12, "num_return_sequences": 12},
        "sampled beams": {"num_beams": 3, "do_sample": True},
        "prompt lookup": {"prompt_lookup_num_tokens": 2},
        "prefill in chunks": {"prefill_chunk_size": 2},
    }


OPTIONS = list(options(IdSpace(64, 20, 61, 62, 63, 1)))


@pytest.mark.parametrize("predict_switch", [False, True], ids=["switch given", "switch predicted"])
@pytest.mark.parametrize("option", OPTIONS)
def test_only_ids_that_can_follow(
    option: str, predict_switch: bool, make_model: Make, write: Callable[..., Tensor]
) -> None:
    model = make_model(predict_switch=predict_switch)
    space = model.config.id_space
    for row in ("ttsu", "uuus", "s") if predict_switch else PROMPTS[:4]:
        prompt = write(space, row)
        made = make_more(model, prompt, max_new_tokens=6, **options(space)[option])
        for sequence in made.sequences.tolist():
            ends = [n for n, one in enumerate(sequence) if one in (space.eos_text, space.eos_speech)]
            said = sequence[: ends[0] + 1] if ends else sequence
            assert possible(space, said), (row, said)
        if option == "forced_eos_token_id":
            assert sequence[-1] == (space.eos_speech if sequence[-2] >= space.speech_offset else space.eos_text)
        assert not any(scores.isnan().any() for scores in made.scores)


def test_what_an_option_forbids_and_forces(make_model: Make, write: Callable[..., Tensor]) -> None:
    """The options act on speech as they do on text."""
    model = make_model()
    space = model.config.id_space
    prompt = write(space, "ttsu")
    plain = make_more(model, prompt).sequences[0, 4:].tolist()
    for name in ("suppress_tokens", "begin_suppress_tokens"):
        assert make_more(model, prompt, **{name: plain[:1]}).sequences[0, 4] != plain[0]
    found = make_more(model, prompt, bad_words_ids=[plain[:2]]).sequences[0, 3:].tolist()
    assert plain[:2] not in [list(pair) for pair in pairwise(found)]
    assert make_more(model, prompt, sequence_bias={(space.eos_speech,): 1e3}).sequences[0, 4] == space.eos_speech
    found = make_more(model, prompt, no_repeat_ngram_size=1, max_new_tokens=12).sequences[0].tolist()
    assert len(set(found)) == len(found)
    found = make_more(model, prompt, sequence_bias={(space.eos_speech,): 1e3}, min_new_tokens=5).sequences[0].tolist()
    assert found.index(space.eos_speech) == 4 + 5


def test_prompt_lookup_may_say_what_was_said(make_model: Make, write: Callable[..., Tensor]) -> None:
    """It asks the processors with equal scores whether a candidate is forbidden: of neither modality is it known."""
    model = make_model()
    ids = write(model.config.id_space, "ttsuu")
    processors = model._get_logits_processor(model.generation_config, 5, ids)
    equal = torch.ones(1, model.config.vocab_size)
    assert torch.equal(processors(ids, equal), equal)


# Of these a choice depends on how all scores lie together.
WARPERS: dict[str, LogitsProcessor] = {
    "temperature": TemperatureLogitsWarper(0.5),
    "high temperature": TemperatureLogitsWarper(3.0),
    "top_k": TopKLogitsWarper(5),
    "top_k beyond the units": TopKLogitsWarper(50),
    "top_p": TopPLogitsWarper(0.7),
    "min_p": MinPLogitsWarper(0.05),
    "top_h": TopHLogitsWarper(0.4),
    "typical_p": TypicalLogitsWarper(0.7),
    "epsilon_cutoff": EpsilonLogitsWarper(0.02),
    "eta_cutoff": EtaLogitsWarper(0.02),
}


@pytest.mark.parametrize("name", WARPERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_warpers_see_what_can_follow_alone(
    name: str, dtype: torch.dtype, make_model: Make, write: Callable[..., Tensor]
) -> None:
    """As if the impossible ids were not there."""
    model = make_model(predict_switch=True).to(dtype)
    space = model.config.id_space
    for row in ("ttttt", "ttsuu", "uuuus"):
        with torch.no_grad():
            logits = model(write(space, row)).logits[:, -1].float()
        inside = logits[0] > torch.finfo(dtype).min / 2
        empty = torch.zeros(1, 1, dtype=torch.long)
        found = WARPERS[name](empty, logits.clone()).softmax(-1)
        expected = WARPERS[name](empty, logits[:, inside].clone()).softmax(-1)
        torch.testing.assert_close(found[:, inside], expected)
        assert (found[:, ~inside] == 0).all()


@pytest.mark.parametrize("predict_switch", [False, True], ids=["switch given", "switch predicted"])
def test_scores_of_what_was_made(predict_switch: bool, make_model: Make, write: Callable[..., Tensor]) -> None:
    """Log-probabilities are finite and those of a forward pass over the result."""
    model = make_model(predict_switch=predict_switch)
    space = model.config.id_space
    for row in PROMPTS:
        for settings in ({}, {"num_beams": 3}):
            prompt = write(space, row)
            made = make_more(model, prompt, eos_token_id=None, pad_token_id=0, **settings)
            found = model.compute_transition_scores(
                made.sequences, made.scores, made.get("beam_indices"), normalize_logits=True
            )
            with torch.no_grad():
                logits = model(made.sequences).logits[:, :-1].log_softmax(-1)
            wanted = logits.gather(-1, made.sequences[:, 1:, None])[:, prompt.shape[1] - 1 :, 0]
            assert wanted.isfinite().all() and wanted.min() > -1e4
            torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


# ---------------------------------------------------------------------- right, or refused by name


def refused_or(check: Callable[[], None], name: str) -> None:
    try:
        check()
    except InputError as error:
        assert name in str(error)


@pytest.mark.parametrize("row", PROMPTS)
@pytest.mark.parametrize("negative", [None, "tt", "uu", "uus", "tts"])
def test_guidance(row: str, negative: str | None, make_model: Make, write: Callable[..., Tensor]) -> None:
    """Guidance compares two continuations: they must be of one modality."""
    model = make_model()
    space = model.config.id_space
    prompt = write(space, row)
    other = write(space, negative, seed=5) if negative else None

    def check() -> None:
        made = make_more(model, prompt, guidance_scale=2.0, negative_prompt_ids=other)
        inside = [scores > -1e30 for scores in made.scores]
        assert all(
            scores.isfinite()[held].all() and held.any() for scores, held in zip(made.scores, inside, strict=True)
        )
        assert possible(space, made.sequences[0].tolist())
        with torch.no_grad():
            given = model(prompt).logits[:, -1].log_softmax(-1)
            free = model(prompt[:, -1:] if other is None else other).logits[:, -1].log_softmax(-1)
        expected = torch.where(given > -1e30, 2 * given - free, 0)
        torch.testing.assert_close(torch.where(inside[0], made.scores[0], 0), expected, rtol=1e-4, atol=1e-4)

    refused_or(check, "guidance_scale")


def test_guidance_that_would_part_at_a_switch(make_model: Make, write: Callable[..., Tensor]) -> None:
    """Units are due after both, but behind another <switch> one would go on in text and one in speech."""
    model = make_model(predict_switch=True)
    space = model.config.id_space
    with pytest.raises(InputError, match="guidance_scale"):
        make_more(model, write(space, "ttsu"), guidance_scale=2.0, negative_prompt_ids=write(space, "tts"))


def test_guidance_of_several_codebooks(make_model: Make, written: Callable) -> None:
    model = make_model(num_codebooks=3)
    ids, codes = written(model.config.id_space, "ttts3.")
    with pytest.raises(InputError, match="guidance_scale"):
        make_more(model, ids, codes=codes, guidance_scale=2.0)


@pytest.mark.parametrize("row", ["tttt", "ttsu"])
def test_watermarks(row: str, make_model: Make, write: Callable[..., Tensor]) -> None:
    """A watermark changes what is said, or it is refused: one that does nothing protects nobody."""
    model = make_model()
    space = model.config.id_space
    prompt = write(space, row)

    def check() -> None:
        settings = {"watermarking_config": WatermarkingConfig(bias=100.0, greenlist_ratio=0.25), "max_new_tokens": 6}
        marked = make_more(model, prompt, **settings)
        assert marked.sequences.tolist() != make_more(model, prompt, max_new_tokens=6).sequences.tolist()
        # A detector that counts all ids finds it in each, and finds no more than its share of them green.
        config = copy.deepcopy(model.generation_config)
        config.watermarking_config = settings["watermarking_config"]
        (own,) = (
            one
            for one in model._get_logits_processor(config, 4, prompt, device="cpu")
            if isinstance(one, WatermarkLogitsProcessor)
        )
        assert own.greenlist_size == int(space.size * 0.25)
        detector = WatermarkLogitsProcessor(space.size, "cpu", greenlist_ratio=0.25)
        said = marked.sequences[0]
        assert all(said[n] in detector._get_greenlist_ids(said[:n]) for n in range(4, len(said)))

    refused_or(check, "watermarking_config")


@pytest.mark.parametrize("setting", ["label_smoothing_factor", "evaluation"])
def test_label_smoothing(setting: str, make_model: Make, write: Callable[..., Tensor], tmp_path: Path) -> None:
    """transformers smooths over all ids, the impossible ones too."""
    model = make_model()
    rows = [{"input_ids": row, "labels": row} for row in write(model.config.id_space, *["ttsuusttt"] * 4)]
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=1,
        label_smoothing_factor=0.1,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, eval_dataset=rows)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="label_smoothing_factor"):
        if setting == "evaluation":
            trainer.evaluate()
        else:
            trainer.train()


def test_forward_without_labels_is_no_training(make_model: Make, write: Callable[..., Tensor]) -> None:
    """What refuses smoothing lets plain logits through, in training too: distillation needs them."""
    model = make_model().train()
    ids = write(model.config.id_space, "ttsuusttt")
    assert model(ids).logits.requires_grad
    model.eval()
