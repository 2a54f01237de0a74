"""What the aligner makes of a human voice: what it takes, of right texts and of wrong ones, and where words end."""

from __future__ import annotations

import random
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from recordings import PROMPTS

from smoltolk.common.files import read_jsonl
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.corpora.recordings import collect
from smoltolk.data.corpora.utterances import Utterance
from smoltolk.speech.audio import load
from smoltolk.speech.pauses import LEVEL_RATE, sounding_frames
from smoltolk.speech.spelling.readings import spoken_words

_FEW_WORDS = 3  # recordings of no more words have no pause that could be taken for an end
_LAST_WORD = range(2, 9)  # words of texts that are tried without their last one


def right(recordings: Path, out: Path) -> Path:
    """The corpus of all recordings; prints what was rejected, confidences, and edges of words."""
    counts = collect(recordings, out)
    utterances = list(read_corpus(out))
    total = counts.num_utterances + counts.num_rejected
    print(f"right texts: {counts.num_utterances} of {total} taken, {counts.seconds / 60:.1f} minutes")
    for row in read_jsonl(out / "rejected.jsonl"):
        print(f"  rejected {row['id']}: {' '.join(row['reason'].split())}")
    sure = np.array([one for utterance in utterances for one in utterance.confidences])
    sure = sure[np.isfinite(sure)]
    print(f"confidence of {len(sure)} words: {_percentiles(sure, (1, 5, 50))}, {(sure < 0.1).mean():.1%} below 0.1")
    _edges(utterances)
    return out


def _edges(utterances: list[Utterance]) -> None:
    """First and last word of short recordings against the first and last frames that are not 25 dB softer."""
    early, late = [], []
    for one in utterances:
        if one.audio is None or not 1 <= len(one.words) <= _FEW_WORDS:
            continue
        on = np.flatnonzero(sounding_frames(load(one.audio)))
        early.append((on[-1] + 1) / LEVEL_RATE - one.words[-1].end)
        late.append(one.words[0].start - on[0] / LEVEL_RATE)
    for name, apart in (("ends come early", np.array(early)), ("starts come late", np.array(late))):
        share = f"{(apart > 0.1).mean():.1%} by more than 0.1 s, {(np.abs(apart) > 0.1).mean():.1%} off by it"
        print(f"{name} (s, n = {len(apart)}): {_percentiles(apart, (5, 50, 90, 95, 99))}; {share}")


def _percentiles(values: np.ndarray, which: tuple[int, ...]) -> str:
    return ", ".join(f"p{q} {np.percentile(values, q):.3f}" for q in which)


def wrong(recordings: Path, work: Path) -> None:
    """How many prompts are taken with the text of another of as many words, or without their last word."""
    texts = {path.with_suffix(".wav"): path.read_text(encoding="utf-8").strip() for path in recordings.rglob("*.txt")}
    words = {path: spoken_words(text.lower()) for path, text in sorted(texts.items())}
    groups: dict[int, list[Path]] = defaultdict(list)
    for path, said in words.items():
        if path.parent.name == PROMPTS:
            groups[len(said)].append(path)
    other: dict[Path, str] = {}
    for group in groups.values():
        random.Random(0).shuffle(group)
        for path, following in zip(group, group[1:] + group[:1], strict=True):
            if words[path] != words[following]:
                other[path] = texts[following]
    _taken("with the text of the next prompt of as many words (seed 0)", other, work / "other")
    shorter = {
        path: " ".join(texts[path].split()[:-1])
        for path, said in words.items()
        if len(said) in _LAST_WORD and len(said) == len(texts[path].split())
    }
    _taken(f"of {_LAST_WORD.start}-{_LAST_WORD.stop - 1} words without the last one", shorter, work / "shorter")


def _taken(what: str, texts: dict[Path, str], work: Path) -> None:
    if not (work / "texts").is_dir():
        shutil.rmtree(work, ignore_errors=True)
        making = work / "texts.part"
        making.mkdir(parents=True)
        for path, text in texts.items():
            (making / path.name).symlink_to(path.resolve())
            (making / path.name).with_suffix(".txt").write_text(text, encoding="utf-8")
        making.rename(work / "texts")
    counts = collect(work / "texts", work / "corpus", link=True, phones=False)
    lengths = Counter(min(len(spoken_words(one.text)), 4) for one in read_corpus(work / "corpus"))
    by_length = ", ".join(f"{count} of {'4 and more' if n == 4 else n}" for n, count in sorted(lengths.items()))
    share = counts.num_utterances / (counts.num_utterances + counts.num_rejected)
    print(f"{what}: {counts.num_utterances} of {len(texts)} taken, {share:.1%}; words: {by_length}")
