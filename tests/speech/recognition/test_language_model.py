import math
from itertools import chain

import pytest

from smoltolk.speech.recognition.language_model import bigram_arpa, dictionary

SENTENCES = [["the", "fox", "sleeps"], ["the", "bear", "sleeps"], ["a", "fox", "eats"], ["the", "fox", "eats"]]


def parse(arpa: str) -> tuple[dict[str, tuple[float, float]], dict[tuple[str, str], float]]:
    unigrams, bigrams = {}, {}
    for line in arpa.splitlines():
        parts = line.split()
        if line.startswith("-") and parts[1] != "<s>" and len(parts) == 3 and "." not in parts[2]:
            bigrams[parts[1], parts[2]] = float(parts[0])
        elif line.startswith("-"):
            if len(parts) == 3 and "." not in parts[2]:
                bigrams[parts[1], parts[2]] = float(parts[0])
            else:
                unigrams[parts[1]] = (float(parts[0]), float(parts[2]) if len(parts) == 3 else 0.0)
    return unigrams, bigrams


def test_the_probabilities_after_every_word_sum_to_one() -> None:
    unigrams, bigrams = parse(bigram_arpa(SENTENCES))
    words = {*chain(*SENTENCES), "</s>"}
    assert sum(10 ** unigrams[word][0] for word in words) == pytest.approx(1, abs=1e-3)
    for context in {"<s>", *chain(*SENTENCES)}:
        total = 0.0
        for word in words:
            backed_off = unigrams[context][1] + unigrams[word][0]
            total += 10 ** bigrams.get((context, word), backed_off)
        assert total == pytest.approx(1, abs=1e-3), context


def test_what_was_seen_is_likelier() -> None:
    unigrams, bigrams = parse(bigram_arpa(SENTENCES))
    assert bigrams["the", "fox"] > bigrams["the", "bear"] > unigrams["the"][1] + unigrams["eats"][0]
    assert 10 ** bigrams["the", "fox"] == pytest.approx(2 / (3 + 2))
    assert not math.isnan(unigrams["fox"][1])


def test_the_dictionary_knows_every_word() -> None:
    pytest.importorskip("pocketsphinx", reason="needs the extra 'judge'")
    lines = dictionary(["blorptown", "fox", "read"]).splitlines()
    assert {line.split()[0].partition("(")[0] for line in lines} == {"blorptown", "fox", "read"}
    assert "fox F AA K S" in lines
    assert len(lines) == len(set(line.split()[0] for line in lines))
