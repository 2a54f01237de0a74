"""What the judge knows of the texts at hand: which words follow which, and how each is pronounced."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

from smoltolk.common.errors import require
from smoltolk.speech.pronunciation import ACCENTS, by_letters, pronounce


def bigram_arpa(sentences: Sequence[Sequence[str]]) -> str:
    """A bigram language model in the ARPA format: Witten-Bell smoothing, unigrams with one added count.

    Args:
        sentences: non-empty lists of words.
    """
    padded = [["<s>", *words, "</s>"] for words in sentences]
    unigrams = Counter(word for words in padded for word in words[1:])
    bigrams = Counter(pair for words in padded for pair in pairwise(words))
    contexts = Counter(word for words in padded for word in words[:-1])
    followers = Counter(first for first, _ in bigrams)
    total = sum(unigrams.values()) + len(unigrams)
    probability = {word: (count + 1) / total for word, count in unigrams.items()}
    seen_mass: Counter[str] = Counter()  # unigram mass of the words that follow a context
    for first, second in bigrams:
        seen_mass[first] += probability[second]  # type: ignore[assignment]

    def backoff(word: str) -> float:
        novelty = followers[word] / (contexts[word] + followers[word])
        return novelty / max(1e-6, 1 - seen_mass[word])

    lines = ["\\data\\", f"ngram 1={len(unigrams) + 1}", f"ngram 2={len(bigrams)}", "", "\\1-grams:"]
    lines.append(f"-99.0 <s> {math.log10(backoff('<s>')):.5f}")
    for word in sorted(unigrams):
        weight = f" {math.log10(backoff(word)):.5f}" if word != "</s>" else ""
        lines.append(f"{math.log10(probability[word]):.5f} {word}{weight}")
    lines += ["", "\\2-grams:"]
    for (first, second), count in sorted(bigrams.items()):
        share = count / (contexts[first] + followers[first])
        lines.append(f"{math.log10(share):.5f} {first} {second}")
    return "\n".join([*lines, "", "\\end\\", ""])


@cache
def _cmudict() -> dict[str, list[str]]:
    """Pronunciations by word; variants such as ``read(2)`` under their word."""
    path = Path(require("pocketsphinx", "the offline judge").get_model_path("en-us/cmudict-en-us.dict"))
    entries: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, phones = line.partition(" ")
        entries.setdefault(word.partition("(")[0] or word, []).append(phones)
    return entries


def dictionary(vocabulary: Sequence[str]) -> str:
    """A dictionary in pocketsphinx's format, one pronunciation a line.

    A word gets CMUdict's pronunciations and those of espeak's accents (if it is installed); its letters decide
    where there are none.

    Args:
        vocabulary: different lower-case words.

    Raises:
        MissingExtraError: the extra ``judge`` is not installed.
    """
    accents = [pronounce(vocabulary, accent) for accent in ACCENTS]
    lines = []
    for word in vocabulary:
        ways = _cmudict().get(word, []) + [known[word] for known in accents if word in known]
        for number, phones in enumerate(dict.fromkeys(ways or [by_letters(word)]), 1):
            lines.append(f"{word}{f'({number})' if number > 1 else ''} {phones}")
    return "\n".join(lines) + "\n"
