"""The frames of an mp3 file, found one after the other: how long it is, and where its sound begins and ends.

Beside frames of sound such files hold tags (ID3v2 in front, ID3v1 or APE behind, either in the middle where files were
joined) and a first frame without sound, in which encoders note how many frames follow and how many samples they put in
front and behind ("Xing" or "Info", "VBRI"). Joined files have several of these.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from smoltolk.common.errors import InputError
from smoltolk.speech.decoding.sound import SLACK_SECONDS

_BIT_RATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # kbit/s of MPEG 1
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # of MPEG 2 and 2.5
)
_RATES = (44_100, 48_000, 32_000)
# What decoders put in front of the sound beside the encoder's own samples.
_DECODER_DELAY = 529
_HEAD = 4 + 32 + 160  # bytes of a frame that are looked at
_RUN = 3  # frames in a row are no chance
_STEP = 1 << 16


class _Head(NamedTuple):
    """Of a frame of MPEG layer III (ISO 11172-3, 2.4.1.3)."""

    sample_rate: int
    num_channels: int
    num_samples: int
    size: int
    note: int  # where a note would stand: behind the side information


@dataclass
class Frames:
    """What the frames of an mp3 file say.

    Attributes:
        sample_rate, num_channels: the same in all.
        count: of frames with sound.
        per_frame: samples of each channel.
        ranges: positions where they lie.
        absent: how many the notes of encoders promise beside these; one of each note does not count, which some
            encoders count themselves.
        skip, padding: samples of decoders that are not of the sound, in front and behind.
        first: the head of the first frame, 4 bytes.
    """

    sample_rate: int = 0
    num_channels: int = 0
    count: int = 0
    per_frame: int = 0
    ranges: list[range] = field(default_factory=list)
    absent: int = 0
    skip: int = _DECODER_DELAY
    padding: int = 0
    first: bytes = b""

    @property
    def num_samples(self) -> int:
        """Of each channel, without what encoder and decoder add."""
        return max(0, self.count * self.per_frame - self.skip - self.padding)


def find_frames(file: BinaryIO, start: int, end: int) -> Frames:
    """Go through an mp3 file.

    Args:
        file: opened for reading.
        start, end: positions where frames may lie.

    Raises:
        InputError: frames of several rates or numbers of channels, or more between frames than tags.
    """
    frames, strange, position = Frames(), 0, start
    notes: list[tuple[int, int]] = []  # frames before it, and frames that it promises
    while position + 4 <= end:
        file.seek(position)
        data = file.read(_HEAD)
        head = _head(data)
        if head is not None and frames.first and head[:2] != (frames.sample_rate, frames.num_channels):
            _check_rate(frames, head, _is_run(file, position, end))
            head = None
        if head is None or not (frames.first or _is_run(file, position, end)):
            behind = _behind_tag(data, position)
            if behind is None:
                behind = _next_run(file, position + 1, end)
                strange += min(behind, end) - position if frames.count and behind < end else 0
            position = behind
            continue
        if position + head.size > end:
            break  # the last one breaks off
        note = _note(data, head)
        if not frames.first:
            frames.first, frames.sample_rate, frames.num_channels = data[:4], head.sample_rate, head.num_channels
            frames.per_frame = head.num_samples
        if note is not None:
            notes.append((frames.count, note.frames))
            if not frames.count:
                frames.skip, frames.padding = note.skip, note.padding
        else:
            frames.count += 1
            if frames.ranges and frames.ranges[-1].stop == position:
                frames.ranges[-1] = range(frames.ranges[-1].start, position + head.size)
            else:
                frames.ranges.append(range(position, position + head.size))
        position += head.size
    if notes != [(0, frames.count)]:
        frames.padding = 0  # it lies where the first part ends, or is not there
    ends = [*(before for before, _ in notes[1:]), frames.count]
    for (before, told), end in zip(notes, ends, strict=False):
        frames.absent += max(0, told - 1 - (end - before))
    _check_between(frames, strange)
    return frames


def note_of(frames: Frames) -> bytes:
    """A first frame without sound that tells how many frames follow and what is not of the sound, as LAME writes it."""
    head, bit_rate = None, 0
    while head is None or head.size < _HEAD:  # the smallest that has room
        bit_rate += 1
        data = bytes((0xFF, frames.first[1] | 1, bit_rate << 4 | frames.first[2] & 0x0C, frames.first[3]))
        head = _head(data)
    delay, padding = frames.skip - _DECODER_DELAY, frames.padding + _DECODER_DELAY if frames.padding else 0
    body = b"Xing" + struct.pack(">II", 1, frames.count) + b"LAME".ljust(21, b"\0")
    body += (delay << 12 | padding).to_bytes(3, "big")
    return (data + bytes(head.note - 4) + body).ljust(head.size, b"\0")


def _check_rate(frames: Frames, head: _Head, sound: bool) -> None:
    if sound:
        raise InputError(
            "all frames of an mp3 have the same rate and as many channels",
            f"{frames.sample_rate} Hz, {frames.num_channels}, then {head.sample_rate} Hz, {head.num_channels}",
            "join the parts after converting them to one rate",
        )


def _check_between(frames: Frames, strange: int) -> None:
    sound = sum(map(len, frames.ranges))
    seconds = strange / max(1, sound) * frames.count * frames.per_frame / max(1, frames.sample_rate)
    if seconds > SLACK_SECONDS:
        raise InputError(
            "an mp3 must be whole", f"{strange} bytes between its frames are no sound", "copy or convert it again"
        )


def is_frame(data: bytes) -> bool:
    """Whether these bytes begin a frame, so far as its head tells."""
    return _head(data) is not None


def _head(data: bytes) -> _Head | None:
    """None: it is no head of a frame."""
    bits = int.from_bytes(data[:4], "big")
    version, rate, bit_rate = bits >> 19 & 3, bits >> 10 & 3, bits >> 12 & 15
    if bits >> 21 != 0x7FF or version == 1 or bits >> 17 & 3 != 1 or rate == 3 or bit_rate in (0, 15):
        return None
    old = version != 3
    sample_rate = _RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    mono = bits >> 6 & 3 == 3
    size = (72 if old else 144) * 1000 * _BIT_RATES[old][bit_rate] // sample_rate + (bits >> 9 & 1)
    side = (9 if mono else 17) if old else (17 if mono else 32)
    return _Head(sample_rate, 1 if mono else 2, 576 if old else 1152, size, 4 + side)


class _Note(NamedTuple):
    frames: int
    skip: int
    padding: int


def _note(data: bytes, head: _Head) -> _Note | None:
    """What the encoder notes in a frame without sound; None: it is one of sound."""
    checked = 0 if data[1] & 1 else 2  # bytes of a checksum
    for note in (head.note, head.note + checked):
        body = data[note : head.size]
        if body[:4] not in (b"Xing", b"Info"):
            continue
        flags = int.from_bytes(body[4:8], "big")
        frames = int.from_bytes(body[8:12], "big") if flags & 1 else 0
        lame = 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
        delays = body[lame + 21 : lame + 24]
        if len(delays) < 3 or not body[lame]:
            return _Note(frames, _DECODER_DELAY, 0)
        bits = int.from_bytes(delays, "big")
        return _Note(frames, (bits >> 12) + _DECODER_DELAY, max(0, (bits & 0xFFF) - _DECODER_DELAY))
    fraunhofer = data[36:54]
    if fraunhofer[:4] == b"VBRI" and len(fraunhofer) == 18:
        return _Note(int.from_bytes(fraunhofer[14:18], "big"), _DECODER_DELAY, 0)
    return None


def behind_id3(data: bytes, position: int) -> int | None:
    """Where an ID3v2 tag ends that begins with these bytes, at this position; None: it is none."""
    if data[:3] != b"ID3" or len(data) < 10 or max(data[6:10]) > 127:
        return None
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte
    return position + 10 + size + (10 if data[5] & 16 else 0)


def _behind_tag(data: bytes, position: int) -> int | None:
    if data[:3] == b"TAG":
        return position + 128
    if data[:8] == b"APETAGEX" and len(data) >= 16:
        return position + 32 + struct.unpack("<I", data[12:16])[0]
    return behind_id3(data, position)


def _next_run(file: BinaryIO, position: int, end: int) -> int:
    """Where the next frames follow one another, or the next tag begins; the end if nothing does."""
    while position < end:
        file.seek(position)
        data = file.read(_STEP + 16)
        for at in _candidates(data[: _STEP + 4]):
            if _behind_tag(data[at : at + 16], position + at) is not None or _is_run(file, position + at, end):
                return position + at
        position += _STEP
    return end


def _candidates(data: bytes) -> list[int]:
    found: set[int] = set()
    for mark in (b"\xff", b"ID3", b"APETAGEX"):
        at = data.find(mark)
        while at >= 0:
            if mark != b"\xff" or (at + 1 < len(data) and data[at + 1] >= 0xE0):
                found.add(at)
            at = data.find(mark, at + 1)
    return sorted(found)


def _is_run(file: BinaryIO, position: int, end: int) -> bool:
    """Whether frames of one kind follow one another from here, up to the end of the file at most."""
    kind: tuple[int, int] | None = None
    for number in range(_RUN):
        file.seek(position)
        data = file.read(16)
        if number and (position == end or _behind_tag(data, position) is not None):
            return True
        head = _head(data)
        if head is None or position + head.size > end or kind not in (None, head[:2]):
            return False
        kind = head[:2]
        position += head.size
    return True
