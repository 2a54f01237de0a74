"""Whether the aligner finds the reading that is said, of tokens that may be said in several ways.

    python benchmarks/readings.py [--voices 2] [--most 6]

espeak-ng says every reading of every token of ``TOKENS`` in a sentence ("the old train ... left the station"); the
aligner gets the sentence as it is written. Told are the share of recordings in which it finds the words that were said,
or words that sound alike, the share that is sure enough for a corpus, how far the words beside the token begin from
where they begin with the token spelled out, and what the choice costs.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from smoltolk.speech.alignment.aligners import aligner_named
from smoltolk.speech.pronunciation import pronounce
from smoltolk.speech.spelling.readings import readings
from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer, voices

TOKENS = """
1234 8500 2005 2024 1984 101 100 42 0 007 H.323 B2B MP3 A4 IAX BBC NASA 1/2 3/4 9/11 7:05 7:30 $2.50 $5 5kg St. Dr. #1
3-4 555-1234 3.14 10\u00b2 1\u00bd -5 1990s e.g. https://a.com 12/25/2020 22nd
""".split()  # noqa: SIM905 - a table is read more easily so
_BEFORE, _BEHIND = ["the", "old", "train"], ["left", "the", "station"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voices", type=int, default=2)
    parser.add_argument("--most", type=int, default=6, help="readings of a token that are said, the likeliest")
    arguments = parser.parse_args()
    aligner, espeak = aligner_named("pocketsphinx", phones=True), EspeakSynthesizer()
    confidences: list[float] = []
    away: list[float] = []
    same = alike = 0
    took = {"as written": 0.0, "spelled out": 0.0}
    wrong: list[str] = []
    for token in TOKENS:
        for way in readings([*_BEFORE, token, *_BEHIND])[len(_BEFORE)][: arguments.most]:
            for voice in voices(arguments.voices, 0, "seen"):
                waveform = espeak.speak(" ".join([*_BEFORE, *way, *_BEHIND]), voice).waveform
                texts = {"as written": token, "spelled out": "-".join(way)}
                found = {}
                for name, said in texts.items():
                    text = " ".join([*_BEFORE, said, *_BEHIND])
                    aligner.align(waveform, text)  # the dictionary is filled
                    start = time.process_time()
                    found[name] = aligner.align(waveform, text)
                    took[name] += time.process_time() - start
                own = found["as written"].said[len(_BEFORE)]
                right = own == tuple(word.lower() for word in way)
                same += right
                alike += right or _sound(own) == _sound(way)
                confidences.append(found["as written"].confidence)
                pairs = zip(found["as written"].words, found["spelled out"].words, strict=True)
                away += [abs(a.start - b.start) for number, (a, b) in enumerate(pairs) if number != len(_BEFORE)]
                if not right:
                    wrong.append(f"  {token}: said {' '.join(way)!r}, found {' '.join(own)!r}")
    sure = np.array(confidences) >= aligner.lowest_confidence
    print("\n".join(wrong))
    print(f"{len(sure)} recordings of {len(TOKENS)} tokens: the reading that is said {same / len(sure):.1%}")
    print(f"or one that sounds alike {alike / len(sure):.1%}")
    print(f"sure enough {sure.mean():.1%}, at least {min(confidences):.2f}")
    apart = f"{1000 * np.mean(away):.1f} ms on average, {max(away):.2f} s at most"
    print(f"words beside it, from where they are with the token spelled out: {apart}")
    print(f"processor time {took['as written']:.1f} s as written, {took['spelled out']:.1f} s spelled out")


def _sound(words: tuple[str, ...]) -> str:
    return " ".join(pronounce([word.lower()], "en-us").get(word.lower(), word) for word in words)


if __name__ == "__main__":
    main()
