"""Which decoder reads a file: what it holds decides, not what it is called."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from smoltolk.common.errors import InputError
from smoltolk.speech.decoding.libsndfile import FlacSound, Mp3Sound, SoundFileSound, UnreadableError, open_ogg, open_wav
from smoltolk.speech.decoding.media import MediaSound
from smoltolk.speech.decoding.mpeg_frames import behind_id3, is_frame
from smoltolk.speech.decoding.riff import find_sound
from smoltolk.speech.decoding.sound import Sound
from smoltolk.speech.decoding.spliced import Spliced

# What recordings are called. Those of the second kind need the extra 'media'.
PLAIN_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf")
MEDIA_SUFFIXES = (
    *(".m4a", ".mp4", ".m4b", ".mov", ".3gp", ".aac", ".webm", ".mka", ".mkv", ".amr", ".wma", ".wmv", ".avi"),
    *(".ac3", ".g722"),
)
SUFFIXES = (*PLAIN_SUFFIXES, *MEDIA_SUFFIXES)

_RAW = {".g722": "g722"}  # without a header
# How files of the second kind begin.
_MEDIA_MARKS = (
    (4, b"ftyp"),
    (0, b"\x1aE\xdf\xa3"),  # Matroska, WebM
    (0, b"#!AMR"),
    (0, b"0&\xb2u\x8ef\xcf\x11"),  # ASF: wma, wmv
    (8, b"AVI "),
    (0, b"FLV\x01"),
    (0, b"\x00\x00\x01\xba"),  # MPEG
    (0, b"\x0bw"),  # AC-3
)
_HEAD = 64  # bytes by which a kind is known
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def begins_like_sound(head: bytes) -> bool:
    """Whether bytes begin like a recording, and not like lines of text: where stdin takes both.

    Args:
        head: the first bytes, 64 of them if there are so many.
    """
    head = head[:_HEAD]
    known = any(head[at:].startswith(mark) for at, mark in _MEDIA_MARKS) or _is_adts(head) or is_frame(head)
    return not _is_plain(head) and (known or b"\0" in head)  # heads of the other kinds have numbers of several bytes


@contextmanager
def open_sound(path: Path) -> Iterator[Sound]:
    """Open a file of any kind that we read.

    Raises:
        InputError: it cannot be opened, is no sound, or breaks off in its head.
        MissingExtraError: it takes PyAV, which is not installed.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
        except OSError as error:
            raise InputError(f"{path} must be readable", str(error.strerror), "check its permissions") from error
        yield _sound(stack, path, file)


@contextmanager
def open_sound_bytes(data: bytes, name: str) -> Iterator[Sound]:
    """Open what would be the content of a file; no file is read or written.

    Args:
        data: of any kind that we read.
        name: what messages call it; nothing is looked for under it.

    Raises:
        InputError, MissingExtraError: as for :func:`open_sound`.
    """
    with ExitStack() as stack:
        yield _sound(stack, Path(name), io.BytesIO(data))


def _sound(stack: ExitStack, path: Path, file: BinaryIO) -> Sound:
    end = file.seek(0, 2)
    start, head = _behind_tags(file)
    if not head:
        raise InputError(f"{path} must have samples", "it is empty", "copy or convert it again")
    suffix = path.suffix.lower()
    if suffix in _RAW and not head.startswith(b"RIFF"):
        if _is_plain(head):
            raise InputError(f"{path} must be audio", "it is text", "name the recording")
        return MediaSound(stack, path, file, end, _RAW[suffix])
    if any(head[at:].startswith(mark) for at, mark in _MEDIA_MARKS) or _is_adts(head):
        return MediaSound(stack, path, file, end, share=_share_of_bytes(file, start, end))
    if head.startswith(b"fLaC"):
        return FlacSound(stack, path, file, start, end)
    if is_frame(head) or (suffix == ".mp3" and not head.startswith((b"RIFF", b"OggS"))):
        return Mp3Sound(stack, path, file, start, end)
    share = 1.0
    try:
        if head.startswith(b"RIFF"):
            wav = find_sound(file, start, end)
            share = 1.0 if wav is None else wav.share
            return open_wav(stack, path, file, start, end)
        if head.startswith(b"OggS"):
            return open_ogg(stack, path, file, start, end)
        # Without its name, by which libsndfile would take any bytes for sound.
        return SoundFileSound(stack, path, Spliced(file, [range(start, end)]))
    except UnreadableError:
        if importlib.util.find_spec("av") is None:
            raise
        return MediaSound(stack, path, file, end, share=share)


def _behind_tags(file: BinaryIO) -> tuple[int, bytes]:
    """Where the file begins behind tags, which any format may have in front; and its first bytes."""
    start = 0
    while True:
        file.seek(start)
        head = file.read(_HEAD)
        behind = behind_id3(head, start)
        if behind is None:
            return start, head
        start = behind


def _share_of_bytes(file: BinaryIO, start: int, end: int) -> float:
    """How much there is of a file whose head tells how many bytes it has; 1 if it does not tell."""
    file.seek(start)
    head = file.read(1 << 14)
    promised, asf = 0, head.find(_ASF_PROPERTIES)
    if head.startswith(b"RIFF"):
        promised = int.from_bytes(head[4:8], "little") + 8
    elif asf >= 0 and head[asf + 88 : asf + 89] != b"\1":  # a broadcast does not know
        promised = int.from_bytes(head[asf + 40 : asf + 48], "little")
    return min(1.0, (end - start) / promised) if promised > 8 else 1.0


def _is_plain(head: bytes) -> bool:
    """Whether it is ASCII text."""
    return all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head)


def _is_adts(head: bytes) -> bool:
    return len(head) > 6 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0
