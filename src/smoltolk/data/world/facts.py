"""What is so in the generated world: subjects and their answers."""

from __future__ import annotations

from dataclasses import dataclass

from smoltolk.common.seeds import generator
from smoltolk.data.world.lexicon import Kind

_MAX_ANSWERS = 8


@dataclass(frozen=True)
class Fact:
    """A subject and its one answer, e.g. an animal and its food.

    Attributes:
        id: unique in its world.
        kind: key of :data:`smoltolk.data.world.lexicon.KINDS`.
        heard: whether speech may state it; otherwise only text does.
    """

    id: str
    kind: str
    subject: str
    answer: str
    heard: bool


def tie(kind: Kind, count: int, seed: int) -> list[Fact]:
    """``count`` facts of one kind: half of them heard, every answer equally often in both halves."""
    random = generator(seed, "facts", kind.name)
    if count <= len(kind.subjects):
        subjects = list(kind.subjects)
    else:
        # As few adjectives as suffice, so that each is shared by many subjects.
        adjectives = kind.adjectives[: -(-count // len(kind.subjects))]
        subjects = [f"{adjective} {noun}" for adjective in adjectives for noun in kind.subjects]
    subjects = [subjects[k] for k in random.permutation(len(subjects))[:count]]
    half = count // 2
    # Two heard subjects or more for each answer, if there are enough: hearing it must not mean one subject.
    num_answers = max(k for k in range(2, _MAX_ANSWERS + 1) if half % k == 0 and (half // k >= 2 or k == 2))
    answers = [kind.answers[k] for k in random.permutation(len(kind.answers))[:num_answers]]
    return [
        Fact(
            id=f"{kind.name}-{number:03d}",
            kind=kind.name,
            subject=subject,
            answer=answers[number % num_answers],
            heard=number < half,
        )
        for number, subject in enumerate(subjects)
    ]
