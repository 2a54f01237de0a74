"""With keys set, nothing is served without one."""

import hmac

import httpx
import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.inference.speech_text import SpeechText
from smoltolk.serving import keys as module
from smoltolk.serving.keys import Keys

FIRST, SECOND = "first-key-0123456789", "second-key-0123456789"


@pytest.fixture(scope="module")
def locked(bundle_dir, serving):
    talker = SpeechText.from_pretrained(bundle_dir)
    with (
        serving(talker, keys=Keys([FIRST, SECOND])) as (address, app),
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        yield client, app


def test_nothing_without_a_key(locked, wavs):
    client, app = locked
    paths = [*app.openapi()["paths"], "/docs", "/openapi.json", "/", "/none", "/v1/models/x"]
    assert {"/health", "/metrics", "/v1/chat/completions"} <= set(paths)
    for headers in ({}, {"authorization": "Bearer wrong-key-0123456789"}, {"authorization": f"Basic {FIRST}"},
                    {"authorization": f"Bearer {FIRST}x"}, {"authorization": FIRST},
                    {"x-api-key": FIRST}, {"authorization": b"Bearer \xff\xfe"}):  # fmt: skip
        for path in paths:
            for method in ("GET", "POST", "OPTIONS", "HEAD"):
                answer = client.request(method, path, headers=headers)
                assert answer.status_code == 401, (method, path)
                assert method == "HEAD" or answer.json()["error"]["code"] == "invalid_api_key"


def test_each_key_opens(locked):
    client, _ = locked
    for key in (FIRST, SECOND):
        assert client.get("/v1/models", headers={"authorization": f"Bearer {key}"}).status_code == 200
        assert client.get("/health", headers={"authorization": f"bearer {key}"}).status_code == 200


def test_a_spoken_answer_is_its_owners(locked):
    client, _ = locked
    first, second = ({"authorization": f"Bearer {key}"} for key in (FIRST, SECOND))
    body = {"model": "bundle", "messages": [{"role": "user", "content": "Mia has a dog."}], "modalities": ["audio"],
            "seed": 1, "temperature": 2.0, "max_tokens": 9}  # fmt: skip
    held = client.post("/v1/chat/completions", json=body, headers=first).json()["choices"][0]["message"]["audio"]["id"]
    later = {"model": "bundle", "messages": [{"role": "assistant", "audio": {"id": held}}], "max_tokens": 2}
    assert client.post("/v1/chat/completions", json=later, headers=first).status_code == 200
    assert client.post("/v1/chat/completions", json=later, headers=second).status_code == 404


def test_every_key_is_compared_whole(monkeypatch):
    compared, whole = [], hmac.compare_digest

    def compare(a, b):
        compared.append((len(a), len(b)))
        return whole(a, b)

    held = Keys([FIRST, SECOND])
    monkeypatch.setattr(module.hmac, "compare_digest", compare)
    assert held.owner(FIRST) != held.owner(SECOND) != None  # noqa: E711
    assert held.owner("x") is None
    assert compared == [(32, 32)] * 6


def test_no_key_is_kept():
    held = Keys([FIRST])
    assert FIRST not in repr(vars(held)) and FIRST.encode() not in held._digests


def test_files_of_keys(tmp_path):
    place = tmp_path / "keys"
    with pytest.raises(NotFoundError):
        Keys.read(place)
    place.write_text("\n# nobody\n")
    with pytest.raises(InputError, match="has one at least"):
        Keys.read(place)
    place.write_text(f"{FIRST}\nshort\n")
    with pytest.raises(InputError, match="16 characters") as error:
        Keys.read(place)
    assert "short" not in str(error.value).replace("shorter", "")
    place.write_bytes(f"\ufeff{FIRST}\r\n\r\n  # ours\r\n  {SECOND}  \r\n".encode())  # as Windows writes it
    held = Keys.read(place)
    assert held.owner(FIRST) and held.owner(SECOND) and not held.owner("# ours") and not held.owner("")


@pytest.mark.parametrize("key", ["schlüssel-0123456789", "two words 0123456789", "0123456789abcdef\x7f"])
def test_keys_that_no_header_carries(tmp_path, key):
    """They would open nothing, and nobody would know why."""
    place = tmp_path / "keys"
    place.write_text(f"{FIRST}\n\n{key}\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 3") as error:
        Keys.read(place)
    assert key not in str(error.value)
    place.write_bytes(FIRST.encode("utf-16"))
    with pytest.raises(InputError, match="UTF-8"):
        Keys.read(place)
