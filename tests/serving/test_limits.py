"""What is too much, or nothing, is refused; and it costs no more than its limit."""

import base64
import io
import json
import resource
import struct

import httpx
import numpy as np
import pytest
import soundfile

LONGEST = 10  # seconds, of the server


@pytest.fixture(scope="module")
def ask(server):
    with httpx.Client(base_url=server[0], timeout=60) as client:
        yield client


def transcribe(client, data, **fields):
    files = {"file": ("a.wav", data)}
    return client.post("/v1/audio/transcriptions", data={"model": "bundle", **fields}, files=files)


def flac(seconds, rate=16_000, channels=1):
    held = io.BytesIO()
    with soundfile.SoundFile(held, "w", rate, channels, format="FLAC", subtype="PCM_16") as file:
        for _ in range(seconds):
            file.write(np.zeros((rate, channels), np.int16))
    return held.getvalue()


def wav_head(rate, channels, size, bits=16):
    align = channels * bits // 8
    head = struct.pack("<HHIIHH", 1, channels, rate, (rate * align) & 0xFFFFFFFF, align & 0xFFFF, bits)
    return (
        b"RIFF"
        + struct.pack("<I", (36 + size) & 0xFFFFFFFF)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + head
        + b"data"
        + struct.pack("<I", size)
    )


def refused(answer, *statuses):
    assert answer.status_code in (statuses or (400,)), answer.text
    told = answer.json()["error"]
    assert told["message"] and told["type"] == "invalid_request_error"
    assert "Traceback" not in answer.text and "/" not in told["message"].replace("and/or", "")
    return told["message"]


@pytest.mark.parametrize("cut", [0, 10, 44, 100, 5_000])
def test_truncated_recordings(ask, wavs, cut):
    refused(transcribe(ask, wavs[0][:cut]))


def test_what_is_no_recording(ask):
    for data in (b"hello, this is text. " * 50, bytes(range(256)) * 40, b"\x89PNG\r\n\x1a\n" + b"\0" * 500, b"fLaC",
                 b"RIFF\0\0\0\0WAVE", b"OggS" + b"\0" * 300, b"ID3" + b"\xff" * 300,
                 b"\0\0\0\x20ftypM4A " + b"\0" * 99):  # fmt: skip
        refused(transcribe(ask, data))


def test_a_tiny_flac_of_hours_costs_no_memory(ask):
    hours = flac(2 * 3600)
    assert len(hours) < 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "10 s at most" in refused(transcribe(ask, hours))
    part = {"type": "input_audio", "input_audio": {"data": base64.b64encode(hours).decode()}}
    chat = {"model": "bundle", "messages": [{"role": "user", "content": [part]}]}
    if len(json.dumps(chat)) < 1 << 20:
        refused(ask.post("/v1/chat/completions", json=chat))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


def test_strange_heads(ask):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    noise = b"\1\2" * 5_000
    for rate, channels, size in ((1, 1, 10_000), (4_000_000_000, 1, 10_000), (16_000, 60_000, 10_000),
                                 (16_000, 1, 0xFFFFFFF0), (16_000, 0, 10_000), (0, 1, 10_000)):  # fmt: skip
        answer = transcribe(ask, wav_head(rate, channels, size) + noise)
        assert answer.status_code == 400 or (rate, channels) == (16_000, 1), answer.text
    many = flac(9, rate=192_000, channels=8)
    assert transcribe(ask, many).status_code in (200, 413)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 128 << 10


def test_recordings_of_a_request_have_one_limit(ask, wavs):
    held = io.BytesIO()
    soundfile.write(held, np.random.default_rng(0).normal(0, 0.1, 16_000 * 6), 16_000, format="WAV")
    part = {"type": "input_audio", "input_audio": {"data": base64.b64encode(held.getvalue()).decode()}}
    options = {"model": "bundle", "max_tokens": 2}
    assert ask.post("/v1/completions", json={**options, "parts": [part]}).status_code == 200
    refused(ask.post("/v1/completions", json={**options, "parts": [part, part]}))


def test_bodies_beyond_the_limit(ask):
    big = b"x" * (2 << 20)
    assert ask.post("/v1/completions", content=big).status_code == 413
    assert transcribe(ask, big).status_code == 413

    def endless():  # no length is announced
        for _ in range(50):
            yield b"x" * (1 << 16)

    kind = {"content-type": "application/json"}
    assert ask.post("/v1/completions", content=endless(), headers=kind).status_code == 413


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("completions", {"prompt": "Mia", "max_tokens": 201}),
        ("completions", {"prompt": "Mia", "n": 17}),
        ("completions", {"prompt": ["Mia"] * 17}),
        ("completions", {"prompt": "M" * 5000}),
        ("completions", {"prompt": ""}),
        ("completions", {"prompt": []}),
        ("completions", {}),
        ("completions", {"prompt": "Mia", "parts": [{"type": "text", "text": "a"}]}),
        ("completions", {"prompt": [10**6]}),
        ("completions", {"prompt": "Mia", "modality": "any"}),
        ("completions", {"parts": [{"type": "units", "units": [4000]}]}),
        ("completions", {"parts": [{"type": "input_audio", "input_audio": {"data": "no base64!"}}]}),
        ("completions", {"prompt": [5] * 600}),
        ("completions", {"prompt": "Mia", "stream": True, "n": 2}),
        ("chat/completions", {"messages": [{"role": "user", "content": "M" * 5000}]}),
        ("chat/completions", {"messages": [{"role": "user", "content": ""}]}),
        ("chat/completions", {"messages": [{"role": "user", "content": "Mia"}], "max_tokens": 1000}),
        ("chat/completions", {"messages": [{"role": "user", "content": "Mia"}], "modalities": ["audio"],
                              "audio": {"voice": "alloy"}}),
        ("audio/speech", {"input": "   "}),
        ("audio/speech", {"input": "Mia" * 2000}),
    ],
)  # fmt: skip
def test_what_cannot_be(ask, path, body):
    refused(ask.post(f"/v1/{path}", json={"model": "bundle", **body}), 400, 422)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("completions", {"prompt": "Mia", "prompts": 1}),
        ("completions", {"prompt": "Mia", "temperature": -1}),
        ("completions", {"prompt": "Mia", "seed": 2**70}),
        ("chat/completions", {"messages": []}),
        ("chat/completions", {"messages": [{"role": "tool", "content": "a"}]}),
        ("audio/speech", {"input": "Mia", "response_format": "aac"}),
        ("audio/speech", {"input": "Mia", "speed": 9}),
        ("audio/speech", {"input": ""}),
    ],
)  # fmt: skip
def test_forms(ask, path, body):
    refused(ask.post(f"/v1/{path}", json={"model": "bundle", **body}), 422)


def test_a_misspelt_field_is_named_beside_the_one_that_is_missing(ask):
    told = refused(ask.post("/v1/audio/speech", json={"model": "bundle", "inptu": "Mia"}), 422)
    assert told.startswith("input: ") and told.endswith("; fields that nobody knows: inptu")


def test_forms_of_recordings(ask, wavs):
    assert "nonsense" in refused(transcribe(ask, wavs[0], nonsense="1"), 422)
    refused(transcribe(ask, wavs[0], response_format="diarized_json"), 422)
    refused(ask.post("/v1/audio/transcriptions", data={"model": "bundle"}), 422)
    assert "known for en" in refused(transcribe(ask, wavs[0], response_format="srt", language="de"))
    refused(transcribe(ask, wavs[0], **{"timestamp_granularities[]": "word"}))
    refused(transcribe(ask, wavs[0], response_format="srt", stream="true"))


def test_names_of_files_are_only_names(ask, wavs, tmp_path):
    """Neither what a client calls its file nor what it says as a model is looked for."""
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wavs[2])
    files = {"file": (str(secret), b"not audio")}
    refused(ask.post("/v1/audio/transcriptions", data={"model": "bundle"}, files=files))
    files = {"file": ("../../../../etc/passwd", wavs[0])}
    assert (
        ask.post("/v1/audio/transcriptions", data={"model": "bundle"}, files=files).json()["text"] == "Mia has a dog."
    )
    for name in (str(tmp_path), "../bundle", "/etc/passwd", "hf://x/y"):
        assert ask.post("/v1/completions", json={"model": name, "prompt": "Mia"}).status_code == 404
        assert ask.get(f"/v1/models/{name}").status_code == 404


def test_no_request_opens_a_file(ask, wavs):
    import sys

    opened, listening = [], [True]

    def hook(event, arguments):
        if listening and event == "open" and isinstance(arguments[0], str | bytes):
            opened.append(arguments[0])

    sys.addaudithook(hook)
    transcribe(ask, wavs[0])
    transcribe(ask, flac(2))
    transcribe(ask, b"junk" * 100)
    ask.post("/v1/audio/speech", json={"model": "bundle", "input": "Mia has a dog."})
    ask.post("/v1/completions", json={"model": "bundle", "prompt": "Mia", "max_tokens": 2})
    listening.clear()
    assert not [name for name in opened if not str(name).endswith((".py", ".pyc"))]
