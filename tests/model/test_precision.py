"""bfloat16 and float16: what is made in them, and what must stay in float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]
MakeText = Callable[..., PreTrainedModel]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("architecture", ["llama", "gemma3_text", "gpt_neox", "smollm3"])
def test_parameters_are_cast_and_buffers_are_not(
    dtype: torch.dtype, architecture: str, make_text_model: MakeText, make_model: Make, ids: Tensor, tmp_path: Path
) -> None:
    expected = {name: value.clone() for name, value in make_model(make_text_model(architecture)).named_buffers()}
    text_model = make_text_model(architecture)
    for parameter in text_model.parameters():  # as from_pretrained(dtype=...) loads it
        parameter.data = parameter.data.to(dtype)
    model = SmolTolkForCausalLM.from_text_model(text_model, num_units=20).eval()
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    assert expected and {name: value.dtype for name, value in model.named_buffers()} == {
        name: value.dtype for name, value in expected.items()
    }
    for name, value in model.named_buffers():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0, msg=name)
    model.save_pretrained(tmp_path)
    loaded = SmolTolkForCausalLM.from_pretrained(tmp_path).eval()
    far = torch.cat([ids] * 8, dim=1)  # a phase that is off shows far from the start
    with torch.no_grad():
        assert loaded.dtype == dtype and torch.equal(loaded(far).logits, model(far).logits)


@pytest.mark.parametrize("predict_switch", [False, True])
@pytest.mark.parametrize("num_codebooks", [1, 2])
def test_autocast_changes_rounding_alone(
    predict_switch: bool, num_codebooks: int, make_model: Make, ids: Tensor, written: Callable
) -> None:
    model = make_model(predict_switch=predict_switch, num_codebooks=num_codebooks)
    inputs = {"input_ids": ids}
    if num_codebooks > 1:
        inputs["input_ids"], inputs["codes"] = written(model.config.id_space, "tts3stts4e", "e5stts2stt")
    labels = inputs["input_ids"]
    for more in ({}, {"labels": labels}, {"labels": labels, "output_nll": True}, {"use_cache": True}):
        with torch.no_grad():
            expected = model(**inputs, **more)
            with torch.autocast("cpu", torch.bfloat16):
                found = model(**inputs, **more)
        assert (found.logits is None) == (expected.logits is None)
        if expected.logits is not None:
            assert found.logits.dtype == torch.bfloat16
            possible = expected.logits > -1e30
            assert torch.equal(possible, found.logits > -1e30)  # the same ids are impossible
            torch.testing.assert_close(found.logits[possible].float(), expected.logits[possible], rtol=0.1, atol=0.1)
        for name in ("loss", "nll"):
            if expected.get(name) is not None:
                torch.testing.assert_close(found[name], expected[name], rtol=0.05, atol=0.1)
    with torch.autocast("cpu", torch.bfloat16):
        made = model.generate(
            **inputs, attention_mask=torch.ones_like(labels), max_new_tokens=3, do_sample=False, pad_token_id=0
        )
        assert made.shape[1] > labels.shape[1]
        model.train()
        model(**inputs, labels=labels).loss.backward()  # and an evaluation behind it
        model.eval()
        assert model(**inputs, labels=labels).logits is not None
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_impossible_ids_have_no_likelihood_in_any_type(
    dtype: torch.dtype, make_text_model: MakeText, make_model: Make, write: Callable[..., Tensor]
) -> None:
    """A floor of float16 is no larger than a real surprise may be: -65,504."""
    text_model = make_text_model()
    for parameter in text_model.parameters():
        parameter.data = parameter.data.to(dtype)
    model = make_model(text_model)
    space = model.config.id_space
    ids = write(space, "ttsuuuu")
    labels = ids.clone()
    labels[0, 1:] = torch.tensor(
        [space.speech_offset, space.begin_prompt, space.num_text, 3, space.switch, space.speech_offset + 4]
    )
    with torch.no_grad():
        nll = model.nll(ids, labels)[0]
    assert nll.dtype == torch.float32 and nll[0] == 0
    assert nll[1:].isinf().tolist() == [True, True, True, True, True, False]
