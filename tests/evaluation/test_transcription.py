"""Error rates with parts whose answers are known; what is judged is real (synthesizer) speech."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_jsonl
from smoltolk.data.rows.documents import recognition_prompt, synthesis_prompt
from smoltolk.evaluation.questions import SpokenCloze
from smoltolk.evaluation.transcription import recognition, synthesis
from smoltolk.inference.samples import make_samples
from smoltolk.inference.speakers import speak_units
from smoltolk.speech.audio import SAMPLE_RATE, load
from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer, espeak_available, voices

TEXTS = ["The old fox lives in the forest.", "Mia has a red kite.", "It rains in the town today."]


class Parrot:
    """Answers the prompt whose ids it knows with fixed ids; ``end=False`` leaves out the end."""

    training = False

    def __init__(self, answers: dict[tuple[int, ...], list[int]], end: bool = True):
        self.answers, self.end = answers, end

    def parameters(self):
        yield torch.zeros(1)

    def train(self, mode=True):
        return self

    eval = train

    def generate(self, input_ids, attention_mask, max_new_tokens, eos_token_id, **_):
        rows = []
        for ids, mask in zip(input_ids.tolist(), attention_mask.tolist(), strict=True):
            answer = self.answers[tuple(i for i, m in zip(ids, mask, strict=True) if m)]
            rows.append(answer + [eos_token_id] * self.end)
        longest = max(map(len, rows))
        padded = [row + [eos_token_id] * ((longest - len(row)) if self.end else 0) for row in rows]
        return torch.cat([input_ids, torch.tensor(padded)], 1)


class SpeakerDouble:
    """Unit k says text k, whatever follows."""

    sample_rate, frame_rate = SAMPLE_RATE, 25.0

    def __init__(self, waveforms):
        self.waveforms = waveforms

    def synthesize_batch(self, units, durations=None, seed=0):
        return [self.waveforms[int(one[0])] for one in units]


@pytest.fixture(scope="module")
def speaker():
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    voice = voices(8, seed=0, split="seen")[7]
    return SpeakerDouble([EspeakSynthesizer().speak(text, voice).waveform for text in TEXTS])


def space_of(model):
    return model.config.id_space


def test_recognition_of_what_was_said_and_of_one_wrong_word(model, tokenizer, tmp_path):
    ids = space_of(model)
    heard = [TEXTS[0], "Mia has a blue kite.", TEXTS[2]]
    utterances = [(np.array([k, k + 1]), text) for k, text in enumerate(TEXTS)]
    answers = {
        tuple(recognition_prompt(ids, units).input_ids.tolist()): tokenizer(text)["input_ids"]
        for (units, _), text in zip(utterances, heard, strict=True)
    }
    result = recognition(Parrot(answers), utterances, tokenizer, ids, log_path=tmp_path / "log.jsonl")
    assert result.error.wer == pytest.approx(1 / 18)
    assert result.failure_rate == 0
    assert result.hypotheses == heard
    assert [row["hypothesis"] for row in read_jsonl(tmp_path / "log.jsonl")] == heard
    figures = result.as_dict("recognition")
    assert figures["recognition_wer"] == result.error.wer
    assert figures["recognition_wer_low"] <= figures["recognition_wer"] <= figures["recognition_wer_high"]


def synthesis_answers(tokenizer, ids, answer):
    prompts = [synthesis_prompt(ids, tokenizer(text)["input_ids"]).input_ids for text in TEXTS]
    return {tuple(prompt.tolist()): answer(k) for k, prompt in enumerate(prompts)}


def test_synthesis_is_judged_by_ear(model, tokenizer, speaker, tmp_path):
    pytest.importorskip("pocketsphinx")
    ids = space_of(model)
    said = synthesis_answers(tokenizer, ids, lambda k: [ids.speech_offset + k, ids.speech_offset + k + 1])
    log = tmp_path / "log.jsonl"
    good = synthesis(Parrot(said), TEXTS, tokenizer, ids, speaker, workers=0, log_path=log)
    assert good.error.wer < 0.2
    assert [one.tolist() for one in good.units] == [[0, 1], [1, 2], [2, 3]]
    assert len(list(read_jsonl(log))) == 3
    # The same words in the wrong places: the judge must not follow the reference.
    swapped = synthesis_answers(tokenizer, ids, lambda k: [ids.speech_offset + (k + 1) % 3])
    bad = synthesis(Parrot(swapped, end=False), TEXTS, tokenizer, ids, speaker, workers=0)
    assert bad.error.wer > 0.7
    assert bad.failure_rate == 1


def test_another_judge_listens(model, tokenizer, speaker):
    class Deaf:
        name = "deaf"

        def transcribe_batch(self, waveforms, sample_rate=SAMPLE_RATE):
            return [f"{len(one)} samples" for one in waveforms]

    ids = space_of(model)
    said = synthesis_answers(tokenizer, ids, lambda k: [ids.speech_offset + k])
    result = synthesis(Parrot(said), TEXTS, tokenizer, ids, speaker, judge=Deaf())
    assert result.hypotheses == [f"{len(one)} samples" for one in speaker.waveforms]
    assert result.error.wer >= 1


def test_no_units_are_silence(speaker):
    waveforms = speak_units([np.zeros(0, np.int64), np.array([1])], speaker)
    assert np.abs(waveforms[0]).max() == 0
    assert len(waveforms[1]) == len(speaker.waveforms[1])
    assert speak_units([np.zeros(0, np.int64)], speaker)[0].dtype == np.float32


def test_nothing_to_say(model, tokenizer, speaker):
    with pytest.raises(InputError, match="at least one text"):
        synthesis(model, [], tokenizer, space_of(model), speaker)


def test_samples_of_a_real_model(model, tokenizer, speaker, tmp_path):
    pytest.importorskip("pocketsphinx")
    tokens = tokenizer(TEXTS[0] + " " + TEXTS[1])["input_ids"]
    cut = len(tokenizer(TEXTS[0])["input_ids"])
    item = SpokenCloze(
        id="story-00000",
        kind="story",
        fact="fact",
        rival="fact",
        prompt_text=TEXTS[0],
        right_text=TEXTS[1],
        wrong_text=TEXTS[2],
        prompt_tokens=np.array(tokens[:cut]),
        right_tokens=np.array(tokens[cut:]),
        wrong_tokens=np.array(tokens[:3]),
        prompt_units=np.array([0, 1, 2]),
        right_units=np.array([1, 2]),
        wrong_units=np.array([2, 0]),
        prompt_seconds=0.5,
    )

    class First(SpeakerDouble):
        def synthesize_batch(self, units, durations=None, seed=0):
            return [self.waveforms[0] for _ in units]

    records = make_samples(
        model,
        [item],
        tokenizer,
        space_of(model),
        First(speaker.waveforms),
        out_dir=tmp_path / "samples",
        seed=0,
        recordings={item.id: speaker.waveforms[0]},
        judge_texts=TEXTS,
        directions=("S->S", "T->S", "S->T", "T->T"),
        max_units=5,
        max_tokens=5,
    )
    assert [record["direction"] for record in records] == ["S->S", "T->S", "S->T", "T->T"]
    for record in records:
        listens, speaks = record["direction"][0] == "S", record["direction"][-1] == "S"
        assert (record["prompt_audio"] is not None) == listens
        assert (record["audio"] is not None) == speaks
        assert isinstance(record["text"], str)
        for name in (record["prompt_audio"], record["audio"]):
            assert name is None or (tmp_path / name).is_file()
    prompt = load(tmp_path / records[0]["prompt_audio"])
    assert len(prompt) / SAMPLE_RATE == pytest.approx(0.5, abs=0.1)  # mp3 pads a little
