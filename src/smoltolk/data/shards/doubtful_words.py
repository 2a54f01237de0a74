"""Words that are hardly said where they were found, joined to their neighbours."""

from __future__ import annotations

from collections.abc import Sequence

from smoltolk.speech.segments import Segment

LOWEST = 0.1


def join_doubtful(words: Sequence[Segment], confidences: Sequence[float], lowest: float) -> tuple[Segment, ...]:
    """Words such that no border between two of them is doubtful.

    Rows change between text and speech at borders of words. Where a word was not found its borders are anywhere, and
    its neighbours' with them: together they are one word of several, whose outer borders are sure.

    Args:
        words: in order.
        confidences: of each word, 0 to 1 (NaN: nothing is said); empty if unknown, then all words stay.
        lowest: a word below it is doubtful.

    Returns:
        words whose texts, joined by spaces, are those of all.
    """
    if len(confidences) != len(words):
        return tuple(words)
    joined: list[Segment] = []
    before = False
    for word, confidence in zip(words, confidences, strict=True):
        doubtful = confidence < lowest
        if joined and (doubtful or before):
            last = joined[-1]
            joined[-1] = Segment(f"{last.text} {word.text}", last.start, max(last.end, word.end))
        else:
            joined.append(word)
        before = doubtful
    return tuple(joined)
