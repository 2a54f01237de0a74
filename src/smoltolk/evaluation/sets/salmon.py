"""SALMon of a story world: two recordings of the same words, of which one changes somewhere, or does not fit them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from smoltolk.data.world.stories import World
from smoltolk.evaluation.sets.speaking import BACKGROUNDS, Speaking, background, in_mood, in_room, is_female
from smoltolk.evaluation.sets.texts import of_weather
from smoltolk.speech.synthesis.voices import Voice

Two = tuple[np.ndarray, np.ndarray]  # what is consistent, and what is not


class Salmon:
    """Makes pairs of recordings.

    Args:
        world: what is said.
        speaking: by whom.
        seed: of sounds.
    """

    def __init__(self, world: World, speaking: Speaking, seed: int):
        self._world, self._speaking, self._seed = world, speaking, seed
        self._women = [voice for voice in speaking.voices if is_female(voice)]
        self._men = [voice for voice in speaking.voices if not is_female(voice)]

    def parts(self) -> dict[str, Callable[[int], Two]]:
        """How the pair of a number is made, by the name of its part; without one that the voices do not allow."""
        made: dict[str, Callable[[int], Two]] = {
            "bg_alignment": self._weather,
            "bg_all_consistency": lambda number: self._backgrounds(number, 1 + number % 3),
            "bg_domain_consistency": lambda number: self._backgrounds(number, 2),
            "gender_consistency": self._gender,
            "rir_consistency": self._room,
            "sentiment_alignment": self._mood_of_words,
            "sentiment_consistency": self._mood,
            "speaker_consistency": self._speaker,
        }
        if not self._women or not self._men:
            del made["gender_consistency"]
        return made

    def write(self, root: Path, count: int) -> dict[str, int]:
        """``ROOT/PART/sample_{i}_{0|1}.wav``, 0 the consistent one; how many pairs each part has."""
        for part, pair_of in self.parts().items():
            for number in range(count):
                for which, waveform in enumerate(pair_of(number)):
                    self._speaking.write(root / part / f"sample_{number}_{which}.wav", waveform)
        return dict.fromkeys(self.parts(), count)

    def _halves(self, number: int) -> tuple[str, str]:
        sentences = self._world.test_story(number, heard_only=True).sentences
        return " ".join(sentences[:2]), " ".join(sentences[2:4])

    def _speaker(self, number: int) -> Two:
        one, other = self._speaking.voice(number), self._speaking.voice(number + 1)
        return self._in_two(number, (one, one), (one, other))

    def _gender(self, number: int) -> Two:
        pair = self._women[number % len(self._women)], self._men[number % len(self._men)]
        one, other = pair if number % 2 else pair[::-1]
        return self._in_two(number, (one, one), (one, other))

    def _mood(self, number: int) -> Two:
        moods = ("lively", "sad") if number % 2 else ("sad", "lively")
        one, other = (in_mood(self._speaking.voice(number), mood) for mood in moods)
        return self._in_two(number, (one, one), (one, other))

    def _in_two(self, number: int, right: tuple[Voice, Voice], wrong: tuple[Voice, Voice]) -> Two:
        halves = self._halves(number)
        made = [
            np.concatenate([self._speaking.say(text, voice) for text, voice in zip(halves, voices, strict=True)])
            for voices in (right, wrong)
        ]
        return made[0], made[1]

    def _room(self, number: int) -> Two:
        first, second = (self._speaking.say(text, self._speaking.voice(number)) for text in self._halves(number))
        near, far = (0.1, 0.8) if number % 2 else (0.8, 0.1)
        rooms = [[in_room(part, seconds, self._seed) for part in (first, second)] for seconds in (near, far)]
        return np.concatenate(rooms[0]), np.concatenate([rooms[0][0], rooms[1][1]])

    def _backgrounds(self, number: int, step: int) -> Two:
        first, second = (self._speaking.say(text, self._speaking.voice(number)) for text in self._halves(number))
        names = BACKGROUNDS[number % len(BACKGROUNDS)], BACKGROUNDS[(number + step) % len(BACKGROUNDS)]
        speech, cut = np.concatenate([first, second]), len(first)
        same, other = (background(name, len(speech), self._seed + number) for name in names)
        return speech + same, speech + np.concatenate([same[:cut], other[cut:]])

    def _weather(self, number: int) -> Two:
        """Words of rain with the sound of rain, against the same words with that of wind, and the other way round."""
        weather, feeling, fits, not_so = (
            ("rainy", "wet", "rain", "wind") if number % 2 else ("windy", "tired", "wind", "rain")
        )
        text = of_weather(self._world, weather, feeling, number // 2)
        speech = self._speaking.say(text, self._speaking.voice(number))
        sounds = [background(name, len(speech), self._seed + number) for name in (fits, not_so)]
        return speech + sounds[0], speech + sounds[1]

    def _mood_of_words(self, number: int) -> Two:
        weather, feeling, fits, not_so = (
            ("bright", "happy", "lively", "sad") if number % 2 else ("dark", "scared", "sad", "lively")
        )
        text = of_weather(self._world, weather, feeling, number // 2)
        made = [self._speaking.say(text, in_mood(self._speaking.voice(number), mood)) for mood in (fits, not_so)]
        return made[0], made[1]
