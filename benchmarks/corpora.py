"""How fast recordings become a corpus, and how little memory running text needs.

    python benchmarks/corpora.py [--stories 24] [--lines 200000] [--rounds 3]

Each round makes the same corpus of spoken stories in three ways, in one process: with words given beside each
recording, with words found by pocketsphinx, and with phones too. Medians, in seconds of speech a second, and their
ratios. Then a text file is opened by number and read whole, each in a process of its own: memory above the bare
process, and time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.corpora.recordings import collect
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("stories", 24), ("lines", 200_000), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
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
