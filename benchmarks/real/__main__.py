"""The whole way of one's own recordings, on human voices.

    python benchmarks/real CACHE [--parts aligner,sound,model] [--kinds phones,clusters,mfcc]

Fetches 551 telephone prompts of one voice and ten sentences of others with apt-get (25 minutes, 13 MB), and prints what
each step makes of them: what the aligner takes of right and of wrong texts and where words end; quality of units;
word errors of recordings, their spectrograms inverted and their units, on 60 prompts held out of units, vocoder and
sentences of the judge. Where the packages cannot be had it says so and measures nothing. CACHE keeps everything; a
second run goes on. Not among the tests: it takes an hour of two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import alignment
import walk
from recordings import Unavailable, recordings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--parts", default="aligner,sound,model")
    parser.add_argument("--kinds", default=",".join(walk.UNITS), help="Of units.")
    parser.add_argument("--vocoder", default="", help="Options of `vocoder fit`, e.g. '--steps 1000'.")
    arguments = parser.parse_args()
    cache, parts = arguments.cache.resolve(), arguments.parts.split(",")
    try:
        folder = recordings(cache)
    except Unavailable as reason:
        print(f"skipped: {reason}")
        return
    corpus = alignment.right(folder, cache / "corpus")
    if "aligner" in parts:
        alignment.wrong(folder, cache)
    ids, chosen = walk.held_out(corpus, cache)
    if "sound" in parts:
        walk.units_and_vocoders(corpus, ids, cache, arguments.kinds.split(","), arguments.vocoder.split())
    if "model" in parts:
        walk.model(corpus, cache, chosen)


if __name__ == "__main__":
    main()
