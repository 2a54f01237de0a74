"""The official client of the OpenAI API against a running server."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import openai
import pytest
import soundfile
import torch

from smoltolk.speech.audio import load_bytes

SENTENCES = ("Mia has a dog.", "Tony comes from Tokyo.", "Anna really enjoys tennis.")


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=f"{server[0]}/v1", api_key="none", max_retries=0)


def heard(data, rate=16_000):
    """A sound that is one: finite, not silent."""
    waveform = load_bytes(data, rate, longest=60)
    assert np.abs(waveform).max() > 1e-3 and 0.3 < len(waveform) / rate < 20
    return waveform


# ------------------------------------------------------------------ transcriptions


@pytest.mark.parametrize("number", range(3))
def test_transcription(client, wavs, number):
    made = client.audio.transcriptions.create(model="bundle", file=("a.wav", wavs[number]))
    assert made.text == SENTENCES[number]
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens > 0


def test_transcription_as_text_and_streamed(client, wavs):
    text = client.audio.transcriptions.create(model="bundle", file=wavs[1], response_format="text")
    assert text == SENTENCES[1] + "\n"
    events = list(client.audio.transcriptions.create(model="bundle", file=wavs[1], stream=True))
    assert [one.type for one in events[:-1]] == ["transcript.text.delta"] * (len(events) - 1)
    assert len(events) > 3 and "".join(one.delta for one in events[:-1]) == SENTENCES[1]
    assert events[-1].type == "transcript.text.done" and events[-1].text == SENTENCES[1]


def test_times_of_words(client, wavs):
    pytest.importorskip("pocketsphinx", reason="needs the extra 'judge'")
    made = client.audio.transcriptions.create(
        model="bundle", file=wavs[2], response_format="verbose_json", timestamp_granularities=["word", "segment"],
        language="en",
    )  # fmt: skip
    assert made.text == SENTENCES[2] and made.language == "en"
    assert [one.word for one in made.words] == SENTENCES[2].split()
    times = [time for one in made.words for time in (one.start, one.end)]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= made.duration
    assert [one.text for one in made.segments] == [SENTENCES[2]]
    srt = client.audio.transcriptions.create(model="bundle", file=wavs[2], response_format="srt")
    vtt = client.audio.transcriptions.create(model="bundle", file=wavs[2], response_format="vtt")
    assert srt.startswith("1\n00:00:0") and " --> " in srt and srt.endswith(f"\n{SENTENCES[2]}\n")
    assert vtt.startswith("WEBVTT\n\n00:00:0")


def test_what_means_nothing_here_is_told_of(client, wavs):
    raw = client.audio.transcriptions.with_raw_response.create(
        model="bundle", file=wavs[0], prompt="a dog", include=["logprobs"], chunking_strategy="auto", temperature=0,
        keywords=["dog"], languages=["en"],
    )  # fmt: skip
    told = raw.headers["x-smoltolk-warning"]
    assert "prompt" in told and "include" in told and "chunking" in told and "keywords" in told
    assert raw.parse().text == SENTENCES[0]


# ------------------------------------------------------------------ speech


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "opus"])
def test_speech_file(client, form, tmp_path):
    client.audio.speech.create(model="bundle", input=SENTENCES[0], voice="default", response_format=form).write_to_file(
        tmp_path / "made"
    )
    heard((tmp_path / "made").read_bytes())


def test_speech_streamed(client):
    options = {"model": "bundle", "input": SENTENCES[2], "voice": "default", "response_format": "pcm"}
    with client.audio.speech.with_streaming_response.create(**options) as response:
        parts = [part for part in response.iter_bytes() if part]
    whole = client.audio.speech.create(**options).content
    assert len(parts) > 1 and b"".join(parts) == whole
    samples = np.frombuffer(whole, "<i2")
    assert np.abs(samples).max() > 30
    with client.audio.speech.with_streaming_response.create(**options, stream_format="sse") as response:
        events = [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]
    assert {one["type"] for one in events[:-1]} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(one["audio"]) for one in events[:-1]) == whole
    assert events[-1]["type"] == "speech.audio.done" and events[-1]["usage"]["output_tokens"] > 3


def test_speed(client):
    def seconds(speed):
        made = client.audio.speech.create(model="bundle", input=SENTENCES[2], voice="default", speed=speed)
        return len(heard(made.content))

    assert seconds(0.5) > 1.5 * seconds(1.0) > 1.5 * seconds(4.0)


def test_voices_are_the_vocoders(client):
    with pytest.raises(openai.BadRequestError, match="voices of bundle are default"):
        client.audio.speech.create(model="bundle", input="Mia has a dog.", voice="alloy")


# ------------------------------------------------------------------ chat


def turn(*parts):
    return [{"role": "user", "content": [*parts]}]


def text_part(text):
    return {"type": "text", "text": text}


def audio_part(data):
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": "wav"}}


def test_chat_written(client, wavs):
    messages = turn(text_part("Mia has"), audio_part(wavs[0]))
    options = {"model": "bundle", "messages": messages, "seed": 3, "max_completion_tokens": 12}
    made = client.chat.completions.create(**options)
    choice = made.choices[0]
    assert choice.message.role == "assistant" and choice.message.content and choice.finish_reason in ("stop", "length")
    assert made.usage.completion_tokens <= 12
    chunks = list(client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True}))
    assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == choice.message.content
    assert chunks[-1].usage.completion_tokens == made.usage.completion_tokens
    assert [one.choices[0].finish_reason for one in chunks if one.choices][-1] == choice.finish_reason


def test_chat_spoken(client):
    options = {
        "model": "bundle", "messages": turn(text_part("Mia has a dog.")), "modalities": ["text", "audio"], "seed": 1,
        "audio": {"voice": "default", "format": "wav"}, "max_completion_tokens": 30,
    }  # fmt: skip
    made = client.chat.completions.create(**options).choices[0].message
    assert made.content is None and made.audio.id and made.audio.expires_at > 1e9
    heard(base64.b64decode(made.audio.data))
    later = client.chat.completions.create(
        model="bundle", messages=[*options["messages"], {"role": "assistant", "audio": {"id": made.audio.id}},
                                  {"role": "user", "content": "And Tony?"}],
    )  # fmt: skip
    assert later.usage.prompt_tokens > 15
    with pytest.raises(openai.NotFoundError, match="no such spoken answer"):
        client.chat.completions.create(model="bundle", messages=[{"role": "assistant", "audio": {"id": "audio_x"}}])


def test_chat_spoken_in_a_stream(client):
    options = {
        "model": "bundle", "messages": turn(text_part("Mia has a dog.")), "modalities": ["text", "audio"], "seed": 1,
        "audio": {"voice": "default", "format": "pcm16"}, "max_completion_tokens": 30, "stream": True,
    }  # fmt: skip
    deltas = [one.choices[0].delta for one in client.chat.completions.create(**options)]
    audio = [told for told in (one.to_dict().get("audio") for one in deltas) if told]
    data = b"".join(base64.b64decode(one["data"]) for one in audio if "data" in one)
    assert len(data) > 4800 and "transcript" in audio[-2] and audio[-1]["expires_at"] > 1e9
    again = client.chat.completions.create(
        model="bundle", messages=[{"role": "assistant", "audio": {"id": audio[0]["id"]}}], max_completion_tokens=3
    )
    assert again.choices[0].message.content is not None


def test_choices_stops_and_log_probabilities(client):
    made = client.chat.completions.create(
        model="bundle", messages=turn(text_part("Anna really")), n=3, seed=5, logprobs=True, top_logprobs=2,
        max_completion_tokens=8, temperature=2.0,
    )  # fmt: skip
    assert len({one.message.content for one in made.choices}) > 1
    for choice in made.choices:
        for one in choice.logprobs.content:
            assert one.logprob <= 0 and len(one.top_logprobs) == 2
    whole = made.choices[0].message.content
    stop = whole[2:4]
    options = {"messages": turn(text_part("Anna really")), "seed": 5, "max_completion_tokens": 8, "temperature": 2.0}
    cut = client.chat.completions.create(model="bundle", stop=[stop], **options).choices[0]
    assert cut.message.content == whole[: whole.index(stop)] and cut.finish_reason == "stop"
    chunks = client.chat.completions.create(model="bundle", stop=[stop], stream=True, **options)
    assert "".join(one.choices[0].delta.content or "" for one in chunks) == whole[: whole.index(stop)]


# ------------------------------------------------------------------ completions


def test_completion(client):
    options = {"model": "bundle", "prompt": "Mia has a", "max_tokens": 6, "seed": 0}
    made = client.completions.create(**options)
    chunks = list(client.completions.create(**options, stream=True))
    assert made.choices[0].text and "".join(one.choices[0].text for one in chunks) == made.choices[0].text
    several = client.completions.create(model="bundle", prompt=["Mia has a", "Tony"], n=2, max_tokens=3, seed=0)
    assert [one.index for one in several.choices] == [0, 1, 2, 3]


def test_scores_are_those_of_the_model(client, make_talker):
    talker = make_talker()
    text = "Mia has a dog."
    ids = [0, *talker.tokenizer(text)["input_ids"]]
    with torch.no_grad():
        logits = talker.model(input_ids=torch.tensor([ids])).logits[0].double()
    logits = logits.masked_fill(logits < -1e30, -torch.inf)
    wanted = [float(logits[n].log_softmax(-1)[one]) for n, one in enumerate(ids[1:])]
    scored = client.completions.create(model="bundle", prompt=text, echo=True, logprobs=2, max_tokens=0).choices[0]
    assert scored.text == text and scored.logprobs.token_logprobs == pytest.approx(wanted, abs=1e-3)
    assert "".join(scored.logprobs.tokens) == text and len(scored.logprobs.top_logprobs[0]) == 2
    by_ids = client.completions.create(model="bundle", prompt=ids, echo=True, logprobs=0, max_tokens=1).choices[0]
    assert by_ids.logprobs.token_logprobs[0] is None
    assert by_ids.logprobs.token_logprobs[1 : len(ids)] == pytest.approx(wanted, abs=1e-3)
    assert len(by_ids.logprobs.tokens) in (len(ids), len(ids) + 1)


def test_parts_in_turns(client, wavs):
    parts = [audio_part(wavs[0]), text_part(" and"), {"type": "units", "units": [3, 1, 4]}, text_part("Mia has a")]
    extra = {"parts": parts, "modality": "speech", "audio": {"voice": "default", "format": "wav"}}
    options = {"model": "bundle", "prompt": None, "max_tokens": 20, "seed": 2, "temperature": 2.0, "extra_body": extra}
    made = client.completions.create(**options).choices[0]
    (said,) = made.model_extra["segments"]
    assert said["type"] == "units" and said["units"]
    waveform, _ = soundfile.read(io.BytesIO(base64.b64decode(made.model_extra["audio"]["data"])))
    assert len(waveform) > 0
    chunks = [one.choices[0] for one in client.completions.create(**options, stream=True)]
    units = [unit for one in chunks for part in (one.model_extra or {}).get("segments", []) for unit in part["units"]]
    assert units == said["units"]


def test_models(client):
    (one,) = client.models.list().data
    assert one.id == "bundle" and one.voices == ["default"] and client.models.retrieve("bundle") == one
    with pytest.raises(openai.NotFoundError, match="the models are bundle"):
        client.completions.create(model="gpt-4", prompt="Mia")


def test_the_pages_examples_run(server, wavs, tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```py\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    monkeypatch.chdir(tmp_path)
    Path("question.wav").write_bytes(wavs[0])
    for block in blocks:
        exec(block.replace("http://127.0.0.1:8000", server[0]), {})
    heard(Path("dog.wav").read_bytes())
    assert SENTENCES[0] in capsys.readouterr().out
