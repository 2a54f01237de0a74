"""The two-choice lens, against what the model's own text head says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, OPTConfig, OPTForCausalLM

from smoltolk.analysis.answer_lens import answer_lens, lens_cells, lens_differences, load_lens
from smoltolk.common.errors import InputError
from smoltolk.evaluation.cloze import prompts
from smoltolk.model.modeling import SmolTolkForCausalLM


@pytest.fixture(scope="module")
def answers(items):
    return [item for item in items if item.kind == "fact_read_answer"]


def last(records, way):
    top = max(int(row["layer"]) for row in records)
    return [row for row in records if row["direction"] == way and row["layer"] == str(top)]


def test_the_last_layer_says_what_the_text_head_says(model, answers):
    """After ``<switch>`` from speech to text the model's own logits are the head's: there the lens can be checked."""
    space = model.config.id_space
    records = answer_lens(model, answers, directions=["S->T"])
    for row, item in zip(last(records, "S->T"), answers, strict=True):
        margins = []
        for document in prompts(item, "S->T", space):
            with torch.no_grad():
                logits = model(input_ids=torch.from_numpy(document.input_ids)[None]).logits[0, -1]
            margins.append(float(logits[item.right_tokens[0]] - logits[item.wrong_tokens[0]]))
        assert row["margin"] == pytest.approx(np.mean(margins), abs=1e-5)
        assert row["points"] == float(row["margin"] > 0)


def test_every_layer_is_read_through_the_final_norm(model, answers):
    space, item = model.config.id_space, answers[0]
    records = [row for row in answer_lens(model, [item]) if row["direction"] == "T->S"]
    assert [row["layer"] for row in records] == ["0", "1", "2"]
    (document,) = prompts(item, "T->S", space)
    with torch.no_grad():
        found = model(input_ids=torch.from_numpy(document.input_ids)[None], output_hidden_states=True)
        decoder, head = model.backbone.model, model.backbone.lm_head
        for row, states in zip(records, found.hidden_states, strict=True):
            state = states[0, -1] if row["layer"] == "2" else decoder.norm(states[0, -1])
            logits = head(state)
            expected = float(logits[item.right_tokens[0]] - logits[item.wrong_tokens[0]])
            assert row["margin"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", ["gpt2", "opt"])
def test_other_architectures_keep_their_norm_elsewhere(kind, tokenizer, answers):
    """The norm before the head is found, so that a last layer that does nothing leaves the lens as it was."""
    torch.manual_seed(0)
    if kind == "gpt2":
        text = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, bos_token_id=0))
        top, norm = text.transformer.h[-1], text.transformer.ln_f
    else:
        sizes = {"hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        text = OPTForCausalLM(OPTConfig(vocab_size=len(tokenizer), word_embed_proj_dim=32, bos_token_id=0, **sizes))
        top, norm = text.model.decoder.layers[-1], text.model.decoder.final_layer_norm
    torch.nn.init.normal_(norm.weight)
    for name, parameter in top.named_parameters():
        if any(part in name for part in ("c_proj", "out_proj", "fc2")):
            torch.nn.init.zeros_(parameter)
    made = SmolTolkForCausalLM.from_text_model(text, num_units=12, eos_text_id=0, num_input_layers=1).eval()
    margins = {row["layer"]: row["margin"] for row in answer_lens(made, answers[:1], directions=["S->S"])}
    assert margins["1"] == pytest.approx(margins["2"], abs=1e-5)
    assert margins["0"] != pytest.approx(margins["2"], abs=1e-5)


def test_padding_and_neighbours_change_nothing(model, answers):
    together = answer_lens(model, answers)
    alone = [row for item in answers for row in answer_lens(model, [item], batch_tokens=1)]
    key = lambda row: (row["direction"], row["id"], row["layer"])  # noqa: E731
    for one, other in zip(sorted(together, key=key), sorted(alone, key=key), strict=True):
        assert key(one) == key(other) and one["margin"] == pytest.approx(other["margin"], abs=1e-5)


def test_cells_and_differences(model, answers, tmp_path):
    records = answer_lens(model, answers, log_path=tmp_path / "lens.jsonl")
    assert load_lens(tmp_path / "lens.jsonl") == records
    cells = lens_cells(records, seed=0)
    assert list(cells) == ["S->S", "T->S"] and list(cells["S->S"]) == ["0", "1", "2"]
    for ways in cells.values():
        for cell in ways.values():
            assert set(cell) == {"accuracy", "low", "high", "n", "pair"} and cell["n"] == 2 * cell["pair"]["n"] == 12
    knowing = [{**row, "margin": 1.0, "points": 1.0} for row in records]
    deeper = knowing + [{**row, "layer": "3", "margin": -1.0, "points": 0.0} for row in knowing if row["layer"] == "2"]
    lost = lens_differences(deeper, knowing, seed=0)  # each by its own last layer
    assert lost["S->S"]["difference"] == lost["T->S"]["pair"]["difference"] == -1.0


def test_answers_that_begin_alike_cannot_be_told_apart(model, answers):
    same = [replace(item, wrong_tokens=item.right_tokens) for item in answers]
    with pytest.raises(InputError, match="different tokens"):
        answer_lens(model, same)
    assert {row["id"] for row in answer_lens(model, [*same[:2], *answers[2:]])} == {item.id for item in answers[2:]}
