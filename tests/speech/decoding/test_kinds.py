"""Any bytes under any name: sound, or a plain refusal; nothing but the file itself is ever read."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.speech.audio import load, measure
from smoltolk.speech.decoding.kinds import MEDIA_SUFFIXES, SUFFIXES, begins_like_sound

Place, Make = Callable[[str, bytes], Path], Callable[..., bytes]
MARKS = (
    *(b"RIFF\0\0\0\0WAVEfmt ", b'fLaC\0\0\0"', b"OggS\0\x02", b"ID3\x04\0\0\0\0\0\0", b"\xff\xf3\x88\xc4"),
    *(b"\xff\xf1", b"\0\0\0\x20ftypM4A ", b"\x1aE\xdf\xa3", b"#!AMR\n", b"FORM\0\0\0\0AIFF", b".snd", b"caff"),
    b"0&\xb2u\x8ef\xcf\x11",
)


def test_lines_do_not_begin_like_sound() -> None:
    for mark in MARKS:
        assert begins_like_sound(mark + bytes(range(60)))
    for line in (
        "",
        "a",
        "RIFF raff",
        "The ftyp of it",
        "ID3? Ja, schön.",
        "Ünïcode\n",
        "これは",
        "a\tb\r\n",
        "\ufeffa",
    ):
        assert not begins_like_sound(line.encode())
    assert not begins_like_sound("schön".encode("latin-1"))  # which is told as what it is


@settings(max_examples=250, deadline=None)
@given(mark=st.sampled_from((b"", *MARKS)), rest=st.binary(max_size=400), suffix=st.sampled_from(SUFFIXES))
def test_any_bytes(place: Place, mark: bytes, rest: bytes, suffix: str) -> None:
    pytest.importorskip("av")
    try:
        found = load(place(f"any{suffix}", mark + rest))
    except InputError:
        return
    assert len(found) and np.isfinite(found).all()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_sound(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("av")
    path = tmp_path / f"a{suffix}"
    with pytest.raises(NotFoundError, match="must exist"):
        load(path)
    for content in (b"", b"just a text, twice\n" * 40):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"must be audio|must have samples"):
            load(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(NotFoundError):
        load(path)


def test_the_content_decides(place: Place, noise: Callable[..., np.ndarray], by_libsndfile: Make) -> None:
    samples = noise(1.0)
    for kind in ("WAV", "FLAC", "MP3", "OGG", "AIFF", "CAF", "AU", "W64", "RF64"):
        content = by_libsndfile(samples, kind)
        assert begins_like_sound(content) and begins_like_sound(content[:64])
        found = load(place("named.wrong", content))
        assert np.corrcoef(found[: len(samples)], samples[: len(found)])[0, 1] > 0.9


@pytest.mark.parametrize(
    "name", ["list.mp3", "list.m4a", "list.wav", "list.webm", "list.m3u8", "list.ffconcat", "list.g722"]
)
def test_lists_of_other_files_are_not_followed(
    tmp_path: Path, noise: Callable[..., np.ndarray], by_libsndfile: Make, name: str
) -> None:
    pytest.importorskip("av")
    secret = tmp_path / "secret.wav"
    secret.write_bytes(by_libsndfile(noise(1.0), "WAV"))
    os.mkfifo(tmp_path / "pipe")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.wav"
        for target in (str(secret), "secret.wav", f"file:{secret}", address, f"concat:{secret}", f"{tmp_path}/pipe"):
            for text in (
                f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
                f"ffconcat version 1.0\nfile '{target}'\n",
                f"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio {server.getsockname()[1]} RTP/AVP 0\n",
                f"[playlist]\nFile1={target}\n",
            ):
                (tmp_path / name).write_text(text)
                with pytest.raises(InputError, match="must be audio"):
                    load(tmp_path / name)
        with pytest.raises(BlockingIOError):  # nobody called
            server.accept()


def test_without_pyav_the_pip_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    (tmp_path / "a.txt").write_text("one two")
    program = (
        "import sys; sys.modules['av'] = None\n"
        "from smoltolk.common.errors import MissingExtraError\n"
        "from smoltolk.data.corpora.recordings import collect\n"
        "from smoltolk.speech.audio import load\n"
        "for call in (lambda: load('a.m4a'), lambda: collect('.', '../out', aligner=None, workers=0)):\n"
        "    try: call()\n"
        "    except MissingExtraError as error: print(error.rule, error.fix)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout.count("reading") == 2 == said.stdout.count("pip install 'smoltolk[media]'")
    assert ".m4a" in MEDIA_SUFFIXES


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Ctrl-C raises, whatever libraries of other tests made of it in this process."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


@pytest.mark.usefixtures("interrupts")
def test_ctrl_c_is_not_swallowed(place: Place, noise: Callable[..., np.ndarray], by_libsndfile: Make) -> None:
    path = place("long.flac", by_libsndfile(np.tile(noise(60.0), 5), "FLAC"))
    assert measure(path, decode=True).seconds == 300
    raised = 0
    for after in (0.001, 0.004, 0.007, 0.01, 0.015, 0.02, 0.025, 0.03):
        timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            for _ in range(10):
                assert measure(path, decode=True).seconds == 300
            timer.join()
        except KeyboardInterrupt:
            raised += 1
    # Python drops one that arrives while it clears an object away; while libsndfile calls back none may be dropped,
    # and that is most of the time.
    assert raised >= 4
