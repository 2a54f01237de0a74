"""How fast recordings become a corpus, and how little memory running text needs.

    python benchmarks/corpora.py [--stories 24] [--lines 200000] [--rounds 3] [--names 0] [--items 0]

Each round makes the same corpus of spoken stories in three ways, in one process: with words given beside each
recording, with words found by pocketsphinx, and with phones too. Medians, in seconds of speech a second, and their
ratios. Then a text file is opened by number and read whole, each in a process of its own: memory above the bare
process, and time.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from smoltolk.data.corpora.corpus import digest_of, read_corpus
from smoltolk.data.corpora.recordings import collect, find_items
from smoltolk.data.corpora.speak import speak
from smoltolk.data.world.stories import World
from smoltolk.speech.synthesis.espeak_synthesis import voices

WAYS: dict[str, dict[str, object]] = {
    "words given": {},
    "words found": {"phones": False},
    "words and phones": {"phones": True},
}
_READERS = {
    "by number": "documents = LineDocuments(path); documents[len(documents) // 2]",
    "read whole": "documents = [' '.join(line.split()) for line in path.read_text().splitlines()]",
    "nothing": "documents = []",
}
_READER = """
import resource, time
from pathlib import Path
from smoltolk.data.texts.text_documents import LineDocuments
path, start = Path({path!r}), time.perf_counter()
{work}
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, len(documents))
"""


def folders(stories: int, place: Path) -> tuple[Path, Path, float]:
    """Spoken stories as recordings with words beside them, and with texts; and their length in seconds."""
    texts = [
        (s.id, s.text, voices(8, 0, "seen")[k % 8])
        for k, s in enumerate(World(0, 12).stories(stories, heard_only=True))
    ]
    speak(texts, place / "spoken", source="stories")
    timed, told = place / "timed", place / "told"
    seconds = 0.0
    for folder in (timed, told):
        folder.mkdir()
    for utterance in read_corpus(place / "spoken"):
        if utterance.audio is None:
            continue
        for folder in (timed, told):
            (folder / f"{utterance.id}.flac").symlink_to(utterance.audio.resolve())
        words = [{"word": word.text, "start": word.start, "end": word.end} for word in utterance.words]
        (timed / f"{utterance.id}.json").write_text(json.dumps(words))
        (told / f"{utterance.id}.txt").write_text(utterance.text)
        seconds += utterance.seconds
    return timed, told, seconds


_SCRIPTS = (
    "abcdefghij",
    "абвгдежзий",
    "αβγδεζηθικ",
    "录音语言模型声学单元",
    "あいうえおかきくけこ",
    "अआइईउऊऋएऐओ",
    "éèêëàâîïôû",
)


def sound(seconds: float) -> bytes:
    """A wav file."""
    file = io.BytesIO()
    soundfile.write(file, np.full(int(16_000 * seconds), 0.1, np.float32), 16_000, format="WAV")
    return file.getvalue()


def before_the_bar(count: int, place: Path) -> None:
    """How long it takes until the first recording is looked into."""
    draw = random.Random(0)
    content = sound(0.01)
    for number in range(count):
        letters = draw.choice(_SCRIPTS)
        name = "?*:"[number % 3] * (number // 100 % 40 + 1) if number % 2 else "".join(draw.choices(letters, k=20))
        folder = place / f"{letters[:3]} {number // 100}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name} {number}.wav").write_bytes(content)
        (folder / f"{name} {number}.txt").write_text("one two")
    start, busy = time.perf_counter(), time.process_time()
    items = find_items(place)
    found = time.perf_counter() - start
    digest_of(item.identity() for item in items)
    taken, busy = time.perf_counter() - start, time.process_time() - busy
    print(f"{len(items)} files: found and named in {found:.1f} s, the bar after {taken:.1f} s ({busy:.1f} s of CPU)")
    same = place.parent / "alike"
    same.mkdir()
    for number in range(count // 10):
        (same / ("?" * (number % 200 + 1) + "!" * (number // 200) + ".wav")).write_bytes(content)
    start = time.perf_counter()
    items = find_items(same)
    print(
        f"{len(items)} files whose names have nothing to keep: found and named in {time.perf_counter() - start:.1f} s"
    )


def tenth_bad(count: int, place: Path) -> None:
    """A folder of which every tenth item cannot be used."""
    place.mkdir()
    content = sound(0.1)
    bad = (
        (content, None),  # no text
        (b"no sound", b"one"),
        (content[:30], b"one"),
        (content, b"caf\xe9"),
        (content, b" "),
        (None, b"one"),  # no recording
        (content, b"one two three four five six"),  # too fast
    )
    for number in range(count):
        audio, text = bad[number // 10 % len(bad)] if number % 10 == 9 else (content, b"one")
        if audio is not None:
            (place / f"r{number:06d}.wav").write_bytes(audio)
        if text is not None:
            (place / f"r{number:06d}.txt").write_bytes(text)
    for changed in (False, True):
        if changed:
            (place / "r000000.txt").write_text("two")
        start = time.perf_counter()
        counts = collect(place, place.parent / "items", aligner=None)
        what = "once more, one text changed" if changed else f"{count} items, every tenth bad"
        took = time.perf_counter() - start
        print(f"{what}: {counts.num_utterances} kept, {counts.num_rejected} rejected in {took:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("stories", 24), ("lines", 200_000), ("rounds", 3), ("names", 0), ("items", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        if arguments.names:
            before_the_bar(arguments.names, place / "names")
        if arguments.items:
            tenth_bad(arguments.items, place / "tenth")
        if not arguments.stories:
            return
        timed, told, seconds = folders(arguments.stories, place)
        rates: dict[str, list[float]] = {way: [] for way in WAYS}
        for number in range(arguments.rounds):
            for way, options in WAYS.items():
                start = time.perf_counter()
                folder = timed if way == "words given" else told
                collect(folder, place / f"{way} {number}", workers=0, **options)  # type: ignore[arg-type]
                rates[way].append(seconds / (time.perf_counter() - start))
        print(f"{seconds:.0f} s of speech in {arguments.stories} recordings, one process")
        for way, rate in rates.items():
            ratio = statistics.median(a / b for a, b in zip(rate, rates["words and phones"], strict=True))
            print(f"  {way:<17} {statistics.median(rate):7.0f} s of speech a second, {ratio:5.1f} x words and phones")
        path = place / "text.txt"
        with path.open("w") as file:
            file.writelines(f"{k} {'word ' * 100}\n" for k in range(arguments.lines))
        print(f"{path.stat().st_size / 1e6:.0f} MB of text in {arguments.lines} lines")
        bare = 0.0
        for name in ("nothing", "by number", "read whole"):
            script = _READER.format(path=str(path), work=_READERS[name])
            done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
            taken, memory, _ = map(float, done.stdout.split())
            if name == "nothing":
                bare = memory
                continue
            print(f"  {name:<17} {(memory - bare) / 1e3:7.0f} MB, opened in {taken:.1f} s")


if __name__ == "__main__":
    main()
