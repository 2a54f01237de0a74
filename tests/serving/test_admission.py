"""Who is let in, what slow clients get, and that every refusal looks alike."""

import io
import json
import socket
import tempfile
import time

import httpx
import numpy as np
import pytest
import soundfile

from smoltolk.inference.speech_text import SpeechText
from smoltolk.serving.limits import Limits


def exchange(address, parts, pause=0.0, timeout=20):
    """What a server answers to bytes that come one by one."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=timeout) as line:
        for part in parts:
            try:
                line.sendall(part)
            except OSError:  # it has closed already
                break
            time.sleep(pause)
        answer = b""
        while more := line.recv(1 << 16):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def head(path, *lines):
    return "\r\n".join([f"POST {path} HTTP/1.1", "host: x", *lines, "connection: close", "", ""]).encode()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing/here", 404),
        ("GET", "/v1/models/some/body", 404),
        ("DELETE", "/v1/models", 405),
        ("OPTIONS", "/v1/completions", 405),
        ("GET", "/v1/audio/speech", 405),
        ("POST", "/v1/completions", 422),
    ],
)
def test_refusals_look_alike(server, method, path, status):
    answer = httpx.request(method, f"{server[0]}{path}")
    assert answer.status_code == status
    told = answer.json()["error"]
    assert set(told) == {"message", "type", "param", "code"} and told["message"]
    assert (status == 405) == ("allow" in answer.headers)


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/v1/models", "/openapi.json"])
def test_heads(server, path):
    answer = httpx.head(f"{server[0]}{path}")
    assert answer.status_code == 200 and answer.content == b"" and answer.headers["content-type"]


def test_a_body_that_is_too_large_is_refused_alike_however_it_comes(server):
    announced = exchange(server[0], [head("/v1/completions", f"content-length: {2 << 20}"), b"x" * 10])
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    counted = exchange(
        server[0],
        [head("/v1/completions", "transfer-encoding: chunked", "content-type: application/json"), *[chunk] * 17],
    )
    nobodys = exchange(server[0], [head("/nothing", f"content-length: {2 << 20}"), b"x" * 10])
    for status, body in (announced, counted, nobodys):
        assert status == 413
        assert json.loads(body)["error"]["code"] == "too_large"


def test_a_client_that_sends_too_slowly_is_let_go(bundle_dir, serving):
    with serving(SpeechText.from_pretrained(bundle_dir), limits=Limits(seconds=0.5)) as (address, _):
        begin = time.monotonic()
        status, body = exchange(address, [head("/v1/completions", "content-length: 100"), b"{", b'"'], pause=0.1)
        assert status == 408 and json.loads(body)["error"]["code"] == "timeout" and time.monotonic() - begin < 5


def test_a_full_server_still_says_how_it_is(bundle_dir, serving):
    """Requests that only wait fill it; whoever watches is answered."""
    with serving(SpeechText.from_pretrained(bundle_dir), limits=Limits(slots=1, queue=1, seconds=5)) as (address, _):
        host, port = address.removeprefix("http://").split(":")
        lines = [socket.create_connection((host, int(port))) for _ in range(2)]
        try:
            for line in lines:
                line.sendall(head("/v1/completions", "content-length: 100"))
            time.sleep(0.3)
            answer = httpx.post(f"{address}/v1/completions", json={"model": "bundle", "prompt": "Mia"})
            assert answer.status_code == 429 and answer.headers["retry-after"] == "1"
            assert answer.json()["error"]["type"] == "rate_limit_error"
            assert httpx.get(f"{address}/health").status_code == httpx.get(f"{address}/ready").status_code == 200
            assert "smoltolk_open_requests 3.0" in httpx.get(f"{address}/metrics").text
        finally:
            for line in lines:
                line.close()
        time.sleep(0.3)
        answer = httpx.post(f"{address}/v1/completions", json={"model": "bundle", "prompt": "Mia", "max_tokens": 1})
        assert answer.status_code == 200


def test_no_recording_is_written_to_a_disk(bundle_dir, serving, monkeypatch):
    """Not even a large one, which is put into a temporary file elsewhere."""
    held = io.BytesIO()
    soundfile.write(held, np.zeros((48_000 * 9, 2)), 48_000, format="WAV", subtype="PCM_16")
    assert len(held.getvalue()) > 1 << 20

    def rolled(self):
        raise RuntimeError("a temporary file")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", rolled)
    with serving(SpeechText.from_pretrained(bundle_dir)) as (address, _):
        files = {"file": ("a.wav", held.getvalue())}
        answer = httpx.post(f"{address}/v1/audio/transcriptions", data={"model": "bundle"}, files=files, timeout=60)
        assert answer.status_code == 200, answer.text


def test_pages_of_other_origins(bundle_dir, serving):
    from smoltolk.serving.keys import Keys

    asks = {"origin": "https://one.example", "access-control-request-method": "POST",
            "access-control-request-headers": "authorization, content-type"}  # fmt: skip
    talker = SpeechText.from_pretrained(bundle_dir)
    with serving(talker, origins=["https://one.example"], keys=Keys(["0123456789abcdef"])) as (address, _):
        told = httpx.options(f"{address}/v1/completions", headers=asks)
        assert told.status_code == 200 and told.headers["access-control-allow-origin"] == "https://one.example"
        assert "authorization" in told.headers["access-control-allow-headers"].lower()
        other = httpx.options(f"{address}/v1/completions", headers=asks | {"origin": "https://two.example"})
        assert "access-control-allow-origin" not in other.headers
        refused = httpx.get(f"{address}/v1/models", headers={"origin": "https://one.example"})
        assert refused.status_code == 401 and "access-control-allow-origin" in refused.headers


def test_without_origins_no_page_reads_an_answer(server):
    answer = httpx.get(f"{server[0]}/v1/models", headers={"origin": "https://one.example"})
    assert answer.status_code == 200 and "access-control-allow-origin" not in answer.headers


def test_a_failure_is_counted_as_one(server, monkeypatch):
    from smoltolk.serving import models

    def broken(engine):
        raise KeyError("of ours")

    monkeypatch.setattr(models, "_told", broken)
    answer = httpx.get(f"{server[0]}/v1/models")
    assert answer.status_code == 500 and answer.json()["error"]["type"] == "server_error"
    assert "of ours" not in answer.text
    assert 'route="/v1/models",status="500"' in httpx.get(f"{server[0]}/metrics").text
