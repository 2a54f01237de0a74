"""Voices of espeak-ng: an accent, a variant, a rate and a pitch; and many different ones from a seed."""

from __future__ import annotations

from dataclasses import dataclass

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import generator

ACCENTS = (
    "en-us",
    "en-gb",
    "en-gb-x-rp",
    "en-us-nyc",
    "en-029",
    "en-gb-scotland",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
)
_ESPEAK_NAMES = {"en-gb": "en"}  # the file's name: "en-gb+f3" is not found, "en+f3" is
# What voices() draws from: accents and variants of espeak-ng 1.52 that the offline judge understands well.
# Robots, whispers, croaks and near copies of others are left out, and no variant is in both splits.
_CLEAR_ACCENTS = ("en-us", "en-gb", "en-gb-x-rp", "en-us-nyc")
_SEEN = "m1 f1 m3 f2 m5 steph adam f3 Denis anika m7 klatt2 Gene Mike m8 edward2"
_UNSEEN = "m2 f5 m4 f4 victor pedro Nguyen john"
_VARIANTS = {"seen": tuple(_SEEN.split()), "unseen": tuple(_UNSEEN.split())}
_RATES, _PITCHES = (150, 190), (35, 65)


@dataclass(frozen=True, slots=True)
class Voice:
    """A way to speak.

    Args:
        accent: one of :data:`ACCENTS`.
        variant: a variant of espeak-ng, e.g. ``"f3"``; empty for the plain voice.
        rate: words per minute, 80 to 450.
        pitch: 0 to 100.
    """

    accent: str = "en-us"
    variant: str = ""
    rate: int = 170
    pitch: int = 50

    def __post_init__(self) -> None:
        if self.accent not in ACCENTS:
            raise InputError(f"the accent is one of {', '.join(ACCENTS)}", repr(self.accent), "choose one of these")
        if not (80 <= self.rate <= 450 and 0 <= self.pitch <= 100):
            raise InputError(
                "a voice speaks 80 to 450 words per minute at a pitch of 0 to 100",
                f"rate {self.rate}, pitch {self.pitch}",
                "choose values in this range",
            )

    @property
    def name(self) -> str:
        """``accent+variant-rate-pitch``, the same for equal voices only."""
        return f"{self.accent}+{self.variant}-{self.rate}-{self.pitch}"

    @property
    def espeak_name(self) -> str:
        """What espeak-ng calls accent and variant together."""
        accent = _ESPEAK_NAMES.get(self.accent, self.accent)
        return f"{accent}+{self.variant}" if self.variant else accent


def num_voices(split: str) -> int:
    """How many different voices a split has.

    Args:
        split: ``"seen"`` or ``"unseen"``.

    Raises:
        InputError: another split.
    """
    if split not in _VARIANTS:
        raise InputError("a split of voices is 'seen' or 'unseen'", repr(split), "choose one of the two")
    return len(_VARIANTS[split]) * len(_CLEAR_ACCENTS)


def voices(count: int, seed: int, split: str) -> list[Voice]:
    """Different voices: variants x accents, with a rate and a pitch of their own.

    Args:
        count: how many.
        seed: the choice is a function of it; the first voices of a longer list are those of a shorter one.
        split: ``"seen"`` or ``"unseen"``; the two have no variant in common.

    Raises:
        InputError: another split, or more voices than variants x accents (64 seen, 32 unseen).
    """
    most = num_voices(split)
    if not 0 <= count <= most:
        raise InputError(f"the split {split!r} has 0 to {most} voices", f"{count}", "ask for fewer")
    variants = _VARIANTS[split]
    random = generator(seed, "voices", split)
    by_chance, accent_shift = random.permutation(len(variants)), int(random.integers(len(_CLEAR_ACCENTS)))
    chosen = []
    for i in range(count):
        lap, place = divmod(i, len(variants))
        # Every variant once per lap; accents go round, one further with each lap, so no pair comes twice.
        accent = _CLEAR_ACCENTS[(place + lap + accent_shift) % len(_CLEAR_ACCENTS)]
        rate, pitch = (int(random.integers(low, high + 1)) for low, high in (_RATES, _PITCHES))
        chosen.append(Voice(accent, variants[by_chance[place]], rate, pitch))
    return chosen
