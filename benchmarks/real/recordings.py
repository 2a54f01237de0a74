"""Recordings of human voices with their texts, of Debian's packages: 551 prompts of one, 10 sentences of others.

The packages are fetched with ``apt-get download`` into a cache and unpacked there; nothing of them belongs to this
repository (asterisk-core-sounds-en*: CC-BY-SA 3.0).
"""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import soundfile

PACKAGES = ("asterisk-core-sounds-en-g722", "asterisk-core-sounds-en", "pocketsphinx-testdata")
PROMPTS, OTHERS = "allison", "others"  # folders: speakers
_SOUNDS = "usr/share/asterisk/sounds/en_US_f_Allison"
_TEXTS = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
_TESTS = "usr/share/pocketsphinx/test/data"
_LISTS = ("librivox/transcription", "cards/cards.transcription")
_NO_SPEECH = re.compile(r"^[\[<(]")  # "[sound of monkeys screaming]"
_REMARK = re.compile(r"\s*[\[(].*$")  # "at [@]", "IAX (note: ...)"
_SPHINX_LINE = re.compile(r"^<s>\s*(.*?)\s*</s>\s*\((.+)\)$")
_MISSED_WORD = {"more a amiable": "more amiable"}  # a slip of the transcript


class Unavailable(Exception):
    """The packages cannot be had here."""


def recordings(cache: Path) -> Path:
    """The folder of recordings, one folder a speaker, each wav with its text beside it; made once.

    Raises:
        Unavailable: no apt-get or dpkg-deb, or the packages cannot be fetched.
    """
    folder = cache / "recordings"
    if folder.is_dir():
        return folder
    unpacked, making = cache / "unpacked", cache / "recordings.part"
    shutil.rmtree(making, ignore_errors=True)
    _unpack(cache / "packages", unpacked)
    for name, text, sound, sample_rate in [*_prompts(unpacked), *_sentences(unpacked)]:
        path = making / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound, sample_rate, subtype="PCM_16")
        path.with_suffix(".txt").write_text(f"{text}\n", encoding="utf-8")
    making.rename(folder)
    return folder


def _unpack(packages: Path, unpacked: Path) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise Unavailable(f"no {tool} here")
    packages.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        if not list(packages.glob(f"{package}_*.deb")):
            done = subprocess.run(["apt-get", "download", package], cwd=packages, capture_output=True, text=True)
            if done.returncode:
                raise Unavailable(f"apt-get download {package}: {done.stderr.strip().splitlines()[-1:]}")
        for path in packages.glob(f"{package}_*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(path), str(unpacked)], check=True)


def _prompts(unpacked: Path) -> Iterator[tuple[str, str, np.ndarray, int]]:
    lines = gzip.decompress((unpacked / _TEXTS).read_bytes()).decode("utf-8").splitlines()
    for line in lines:
        name, colon, text = line.partition(": ")
        sound = unpacked / _SOUNDS / f"{name}.g722"
        if line.startswith(";") or not colon or _NO_SPEECH.match(text) or not sound.is_file():
            continue
        yield f"{PROMPTS}/{name.replace('/', '-')}", _REMARK.sub("", text), _g722(sound), 16_000


def _g722(path: Path) -> np.ndarray:
    with av.open(str(path), format="g722") as file:
        frames = [frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)]
    return np.concatenate(frames)


def _sentences(unpacked: Path) -> Iterator[tuple[str, str, np.ndarray, int]]:
    for texts in (unpacked / _TESTS / name for name in _LISTS):
        for line in texts.read_text(encoding="utf-8").splitlines():
            if found := _SPHINX_LINE.match(line.strip()):
                text, name = found[1], found[2]
                for slip, right in _MISSED_WORD.items():
                    text = text.replace(slip, right)
                samples, sample_rate = soundfile.read(texts.parent / f"{name}.wav", dtype="int16")
                yield f"{OTHERS}/{texts.parent.name}-{name}", text, samples, sample_rate
