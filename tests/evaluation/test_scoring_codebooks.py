"""Scores of frames: every unit counts once, at the place where its codebook says it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.evaluation.nll import held_out_nll
from smoltolk.evaluation.questions import SpokenCloze
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.runs.world_answers import answers_of, of_cell, world_cells
from smoltolk.evaluation.scoring import score
from smoltolk.evaluation.sequences import Scored
from smoltolk.model.ids import IdSpace
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.report.results import DIRECTIONS

Q, K = 3, 9
DELAYS = [[0, 1, 2], [0, 0, 0], [0, 3, 1]]


@pytest.fixture(scope="module")
def make() -> Callable[..., SmolTolkForCausalLM]:
    """A random model of three codebooks, whose ids are far from equally likely."""

    def made(delays: list[int] | None = None, predict_switch: bool = False) -> SmolTolkForCausalLM:
        config = LlamaConfig(
            vocab_size=20, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            eos_token_id=1,
        )  # fmt: skip
        torch.manual_seed(0)
        units = {"num_units": K, "num_codebooks": Q, "codebook_delays": delays, "predict_switch": predict_switch}
        model = SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), **units)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
        return model.eval()

    return made


def frames(number: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, K, (number, Q))


def by_hand(model: SmolTolkForCausalLM, sequence: Scored, run: int, first: int, said: np.ndarray) -> float:
    """NLL of frames, from all logits: codebook q says frame f at ``run + f + its delay``; the first are given."""
    space = model.config.id_space
    with torch.no_grad():
        made = model(torch.from_numpy(sequence.ids)[None], codes=torch.from_numpy(sequence.codes)[None])
    led = made.logits[0].double().log_softmax(-1)
    followed = made.codebook_logits[0].double().log_softmax(-1)
    total = 0.0
    for number in range(first, len(said)):
        for codebook, unit in enumerate(said[number]):
            place = run + number + space.delays[codebook] - 1
            if codebook == 0:
                total -= float(led[place, space.speech_offset + unit])
            else:
                total -= float(followed[place, codebook - 1, unit])
    return total


@pytest.mark.parametrize("predict_switch", [False, True])
@pytest.mark.parametrize("delays", DELAYS, ids=str)
def test_every_unit_of_the_continuation_and_no_other(delays: list[int], predict_switch: bool, make: Callable) -> None:
    """Speech that goes on: under the delay the prompt's last frames are still being said, and are not scored."""
    model = make(delays, predict_switch)
    space, said = model.config.id_space, frames(7)
    document = Document(space).speech(said[:4])
    start = len(document)
    sequence = Scored.of(document.speech(said[4:]), start, space)
    found = score(model, [sequence], space=space)
    assert found.count.tolist() == [3 * Q]
    assert found.nll[0] == pytest.approx(by_hand(model, sequence, 1, 4, said), rel=1e-5)
    whole = score(model, [sequence], space=space, rule=Rule(scope="whole"))
    assert whole.count.tolist() == [7 * Q]
    assert whole.nll[0] == pytest.approx(by_hand(model, sequence, 1, 0, said), rel=1e-5)


@pytest.mark.parametrize("delays", DELAYS, ids=str)
def test_frames_behind_text_and_text_behind_frames(delays: list[int], make: Callable) -> None:
    model = make(delays)
    space, said = model.config.id_space, frames(3)
    document = Document(space).text([3, 4, 5]).switch()
    assert len(document) == 5
    answered = Scored.of(document.speech(said), 5, space)
    heard = Document(space).speech(said).switch().text([3, 4])
    written = Scored.of(heard, len(heard) - 2, space)
    found = score(model, [answered, written], space=space)
    assert found.count.tolist() == [3 * Q, 2]
    assert found.nll[0] == pytest.approx(by_hand(model, answered, 5, 0, said), rel=1e-5)
    with torch.no_grad():
        logits = model(torch.from_numpy(written.ids)[None], codes=torch.from_numpy(written.codes)[None]).logits[0]
    text = -sum(float(logits[t - 1].log_softmax(-1)[written.ids[t]]) for t in (-2, -1))
    assert found.nll[1] == pytest.approx(text, rel=1e-5)


def test_the_end_is_where_the_first_codebook_falls_silent(make: Callable) -> None:
    """Its decision and <eos speech> behind the delay count, if ends do; the padding between them goes by rule."""
    model = make()
    space, said = model.config.id_space, frames(4)
    ended = Scored.of(Document(space).speech(said).end(), 1, space)
    without, with_end = (score(model, [ended], space=space, rule=Rule(score_end=end)) for end in (False, True))
    assert without.nll[0] == pytest.approx(
        score(model, [Scored.of(Document(space).speech(said), 1, space)], space=space).nll[0], rel=1e-6
    )
    with torch.no_grad():
        made = model(torch.from_numpy(ended.ids)[None], codes=torch.from_numpy(ended.codes)[None]).logits[0].double()
    logs = made.log_softmax(-1)
    more = float(logs[4, space.pad_speech] + logs[6, space.eos_speech])
    assert with_end.count[0] == without.count[0] + 2 and ended.ids[[5, 7]].tolist() == [
        space.pad_speech,
        space.eos_speech,
    ]
    assert with_end.nll[0] == pytest.approx(without.nll[0] - more, rel=1e-5)


def test_codebooks_together_and_apart(make: Callable) -> None:
    """The sum over codebooks is their NLL at that place, and text is said once."""
    model = make()
    space = model.config.id_space
    document = Document(space).text([3, 4, 5]).switch().speech(frames(4)).end()
    ids, codes = torch.from_numpy(document.input_ids)[None], torch.from_numpy(document.codes)[None]
    with torch.no_grad():
        together, apart = (model.nll(ids, ids, codes=codes, apart=apart) for apart in (False, True))
        made = model(ids, codes=codes)
    assert apart.shape == (*ids.shape, Q)
    torch.testing.assert_close(together, apart.sum(-1))
    for place in (1, 2, 3):
        assert together[0, place] == pytest.approx(-float(made.logits[0, place - 1].log_softmax(-1)[ids[0, place]]))
    said = -made.codebook_logits[0, 6, 0].log_softmax(-1)[codes[0, 7, 0]]  # of the second codebook, and of it alone
    assert apart[0, 7, 1] == pytest.approx(float(said))


@pytest.mark.parametrize("batch_tokens", [1, 40, 4096])
def test_no_score_depends_on_its_batch(batch_tokens: int, make: Callable) -> None:
    model = make()
    space = model.config.id_space
    sequences = [Scored.of(Document(space).speech(frames(n, seed=n)), 1 + n // 2, space) for n in (2, 9, 5, 12)]
    sequences += [Scored.of(Document(space).text([3, 4, 5, 6, 7]), 2, space)]
    together = score(model, sequences, space=space, batch_tokens=batch_tokens)
    for number, sequence in enumerate(sequences):
        assert together.nll[number] == pytest.approx(score(model, [sequence], space=space).nll[0], rel=1e-5)


def test_nats_a_unit_of_documents(make: Callable) -> None:
    model = make()
    space = model.config.id_space
    documents = [Document(space).speech(frames(5)), Document(space).speech(frames(2)).end()]
    found = held_out_nll(model, documents, space, "speech")
    assert (found.num_ids, found.num_documents) == (7 * Q, 2)
    each = [Scored.of(document, 1, space) for document in documents]
    assert found.nll == pytest.approx(score(model, each, space=space).nll.sum() / found.num_ids, rel=1e-6)
    assert held_out_nll(model, [[1, 3, 4], Document(space).text([5])], space, "text").num_ids == 3
    with pytest.raises(InputError, match="codebooks has codes"):
        held_out_nll(model, [documents[0].input_ids], space, "speech")


def question(space: IdSpace, **parts: np.ndarray) -> SpokenCloze:
    written = {"prompt_tokens": np.array([3, 4]), "right_tokens": np.array([5]), "wrong_tokens": np.array([6, 7])}
    spoken = {"prompt_units": frames(4), "right_units": frames(3, 1), "wrong_units": frames(5, 2)}
    texts = {"prompt_text": "a", "right_text": "b", "wrong_text": "c"}
    names = {"id": "0", "kind": "story", "fact": "x", "rival": "y"}
    return SpokenCloze(**names, **texts, **(written | spoken | parts), prompt_seconds=1.0)


def test_questions_in_four_directions(make: Callable) -> None:
    model = make()
    space = model.config.id_space
    item = question(space, rival_prompt_units=frames(4, 3))
    records = answers_of(model, [item, replace(item, id="1", fact="y", rival="x")])
    assert set(world_cells(records, 0)["story"]) == set(DIRECTIONS)
    for way in DIRECTIONS:
        record, _ = of_cell(records, "story", way)
        counts = [len(nll) for nll in record["nll"][0]]
        assert counts == ([3 * Q, 5 * Q] if way.endswith("S") else [1, 2])
    record, _ = of_cell(records, "story", "S->S")
    for number, prompt in enumerate(item.spoken_prompts):
        for place, said in enumerate((frames(3, 1), frames(5, 2))):
            start = len(document := Document(space).speech(prompt))
            option = Scored.of(document.speech(said), start, space)
            expected = by_hand(model, option, 1, 4, np.concatenate([prompt, said]))
            assert sum(record["nll"][number][place]) == pytest.approx(expected, rel=1e-5)


def test_mistakes(make: Callable, uniform: object, ids: IdSpace) -> None:
    model = make()
    space = model.config.id_space
    whole = Scored.of(Document(space).speech(frames(3)), 1, space)
    for broken in (
        Scored(whole.ids, 1),
        Scored(whole.ids, 1, whole.codes[:-1]),
        Scored(whole.ids, 1, whole.codes[:, :1]),
    ):
        with pytest.raises(InputError, match="3 codebooks has codes"):
            score(model, [whole, broken], space=space)
    with pytest.raises(InputError, match="codes are for ids of several"):
        score(uniform, [Scored([28, 21, 22], 1, np.zeros((3, 2), np.int64))], space=ids)
