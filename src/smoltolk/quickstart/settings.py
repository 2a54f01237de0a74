"""What a run is, and where its parts lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from smoltolk.data.world.stories import Story, World
from smoltolk.quickstart.scales import Scale, scale_named
from smoltolk.speech.synthesis.espeak_synthesis import Voice, voices


@dataclass(frozen=True)
class Settings:
    """A quick start: everything else follows from these four.

    Attributes:
        out: the run directory.
        scale_name: ``tiny``, ``small`` or ``medium``.
        seed: of every random choice.
        text_model: hub id or directory; None trains a small one.
    """

    out: Path
    scale_name: str
    seed: int
    text_model: str | None = None

    @cached_property
    def scale(self) -> Scale:
        """Sizes of every step."""
        return scale_named(self.scale_name)

    @cached_property
    def world(self) -> World:
        """The stories and facts."""
        return World(self.seed, self.scale.num_people)

    @cached_property
    def seen_voices(self) -> list[Voice]:
        """Voices of the training stories."""
        return voices(self.scale.num_voices, self.seed, "seen")

    @property
    def vocoder_voice(self) -> Voice:
        """What the model sounds like: the judge understands this voice best, so that its errors are the vocoder's."""
        return Voice("en-us", "m3", rate=160, pitch=45)

    def voice_of(self, index: int) -> Voice:
        """Voices take turns."""
        return self.seen_voices[index % len(self.seen_voices)]

    def spoken_story(self, index: int) -> Story:
        """Training story that may be spoken: about heard facts only."""
        return self.world.story(index, heard_only=True)

    def test_story(self, index: int) -> Story:
        """Held-out story that may be spoken."""
        return self.world.test_story(index, heard_only=True)

    def text(self, index: int) -> str:
        """Running text: stories about all facts."""
        return self.world.story(index, heard_only=False).text

    def corpus(self, name: str) -> Path:
        """Recordings: ``train``, ``vocoder``, ``judged``, ``voices``, ``cloze`` or ``test``."""
        return self.out / "speech" / name

    def shards(self, name: str) -> Path:
        """Units: ``train``, ``cloze`` or ``test``."""
        return self.out / "shards" / name

    def model(self, system: str) -> Path:
        """Model directory of ``late``, ``early`` or ``early_plus``."""
        return self.out / "models" / system

    @property
    def units(self) -> Path:
        """The unit tokenizer."""
        return self.out / "units"

    @property
    def vocoder(self) -> Path:
        """The vocoder."""
        return self.out / "vocoder"

    @property
    def backbone(self) -> Path:
        """The text model, after it has read the world's text."""
        return self.out / "backbone"

    @property
    def work(self) -> Path:
        """Checkpoints and whatever else only an interrupted run needs."""
        return self.out / "work"
