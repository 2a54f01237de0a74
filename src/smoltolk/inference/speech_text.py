"""A model in use: text and recordings in, text and speech out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.inference.answers import Answer, Speech, StreamPiece, Timings
from smoltolk.inference.bundle import Bundle, BundleSettings, open_bundle
from smoltolk.inference.dialogue import Dialogue
from smoltolk.inference.generation import Generation, to_text, to_units
from smoltolk.inference.parts import load_parts
from smoltolk.inference.recordings import Audio, is_recording, waveform_of
from smoltolk.inference.requests import Request, continue_all, longer_than, positions_left, room_of, seeds_of
from smoltolk.inference.sampling import Sampling
from smoltolk.inference.speakers import (
    Speaker,
    check_speaker,
    check_voice,
    durations_of,
    in_chunks,
    most_units,
    speak,
    speaker_of,
    voices_of,
)
from smoltolk.inference.streaming import Voice, stream_answer
from smoltolk.model.generation.streaming import PieceIterator
from smoltolk.processing import SmolTolkProcessor
from smoltolk.speech.units.tokenizer import UnitTokenizer

To = Literal["speech", "text"]
Part = str | Audio | Sequence[int]  # a segment of a prompt: text, a recording (a path is a Path here), or units
Prompt = Part | Sequence[Part]
_OWN: Literal["own"] = "own"


class SpeechText:
    """A model with what it needs to hear and to speak.

    ::

        talker = SpeechText.from_pretrained("quickstart/bundle")
        talker.hear("question.wav")                                # -> str
        talker.say("The dog eats bread.").save("dog.wav")          # Speech plays in a notebook
        talker.generate(["The cat", Path("cat.wav")], to="text")   # -> Answer

    A recording is a path, float32 [samples] at :attr:`hearing_rate`, ``(samples, rate)`` or :class:`Speech`. In a
    prompt a ``str`` is text, so a path is a ``Path`` there, and integers [n] are units.

    Args:
        model: a SmolTolk model.
        tokenizer: of its text.
        units: waveforms to units; None: it cannot hear.
        vocoder: units to waveforms, of several codebooks their codec; None: it speaks if its units are such a codec.
        settings: of generation, where a call says nothing else.

    Raises:
        InputError: a tokenizer that is longer than the model's text table, or a vocoder that cannot say its units.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        units: UnitTokenizer | None = None,
        vocoder: Speaker | UnitTokenizer | None = None,
        *,
        settings: BundleSettings | None = None,
    ):
        self.model, self.tokenizer, self.units, self.vocoder = model, tokenizer, units, speaker_of(vocoder, units)
        self.space, self.settings = model.config.id_space, settings or BundleSettings()
        if self.vocoder is not None:
            check_speaker(self.space, self.vocoder)
        self.processor = SmolTolkProcessor(tokenizer, self.space, units)

    @classmethod
    def from_pretrained(
        cls, bundle: Path | str | Bundle, device: str | None = None, int8: bool = False, revision: str | None = None
    ) -> SpeechText:
        """Load a bundle, which holds all parts.

        Args:
            bundle: a directory as ``smoltolk bundle make`` writes it, a hub id, or one that has been opened.
            device: where the model computes; None: on a GPU if there is one.
            int8: hold the weights of linear layers in eight bits, for which it takes the extra ``int8``.
            revision: of the hub's: a branch, a tag or a commit; None: the newest.

        Raises:
            NotFoundError: no such directory, or no such repository.
            InputError: no bundle, a damaged one, or a device that is not there.
            MissingExtraError: ``smoltolk[int8]`` is not installed.
        """
        held = bundle if isinstance(bundle, Bundle) else open_bundle(bundle, revision=revision)
        return cls(*load_parts(held.model, held.units, held.vocoder, device=device, int8=int8), settings=held.settings)

    @classmethod
    def load(
        cls,
        model: Path | str,
        units: Path | str | None = None,
        vocoder: Path | str | None = None,
        device: str | None = None,
        int8: bool = False,
    ) -> SpeechText:
        """Load parts one by one; what does not belong together is told before anything large is loaded.

        Args:
            model: a directory as ``smoltolk train`` writes it, or a hub id.
            units, vocoder: directories. A codec of several codebooks is both, and need be named but once.
            device, int8: as for :meth:`from_pretrained`.

        Raises:
            NotFoundError: no units or vocoder there.
            InputError: no such model, or parts made for other units.
        """
        return cls(*load_parts(model, units, vocoder, device=device, int8=int8))

    # ------------------------------------------------------------------ what it is

    @property
    def hearing_rate(self) -> int:
        """Samples per second of what it hears."""
        return self._held().sample_rate

    @property
    def speaking_rate(self) -> int:
        """Samples per second of what it says."""
        return self._speaker().sample_rate

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of the voices that it speaks with, the one it uses unless told otherwise first; empty without names."""
        return voices_of(self.vocoder)

    def strangeness(self, audio: Audio) -> float | None:
        """How far a recording is from those that the units were learnt for, see ``UnitTokenizer.strangeness``."""
        return self._held().strangeness(waveform_of(audio, self.hearing_rate))

    def units_of(self, audio: Audio) -> np.ndarray:
        """Units of a recording: int64 [n], of several codebooks frames [n, Q].

        Raises:
            NotFoundError: no such file.
            InputError: no units to hear with, or a recording that is none or shorter than a unit.
        """
        waveform = waveform_of(audio, self.hearing_rate)
        units = self._held().encode([waveform])[0].units
        if len(units) == 0:
            raise InputError("a recording has a unit at least", f"{len(waveform)} samples", "give a longer one")
        return units

    def room_behind(self, prompt: Prompt | Document, to: To = "speech") -> int:
        """Ids, or frames, that the model's positions leave for an answer; 0 or less: the prompt itself is too long."""
        return positions_left(self.model, self._document(prompt, to), to == "speech")

    def dialogue(self, to: To = "speech", **options: Any) -> Dialogue:
        """Turns that the model remembers, as far as its positions reach.

        Args:
            to: what it answers in, unless a turn says something else.
            options: of :meth:`generate`; each turn counts the seed on.
        """
        return Dialogue(self, to, **options)

    # ------------------------------------------------------------------ what it does

    @overload
    def hear(self, audio: list[Audio]) -> list[str]: ...
    @overload
    def hear(self, audio: Audio) -> str: ...
    def hear(self, audio: Audio | list[Audio]) -> str | list[str]:
        """Write down what is said.

        Args:
            audio: a recording, or a list of them: a batch.

        Returns:
            The text of each.

        Raises:
            NotFoundError: no such file.
            InputError: no units, or a recording that is none or shorter than a unit.
        """
        made = self.recognize(audio)
        return [one.text or "" for one in made] if isinstance(made, list) else made.text or ""

    @overload
    def recognize(self, audio: list[Audio]) -> list[Answer]: ...
    @overload
    def recognize(self, audio: Audio) -> Answer: ...
    def recognize(self, audio: Audio | list[Audio]) -> Answer | list[Answer]:
        """As :meth:`hear`, with times, and whether the text came to its end."""
        begin = time.perf_counter()
        heard = [self.units_of(one) for one in (audio if isinstance(audio, list) else [audio])]
        hearing = time.perf_counter() - begin
        # Letters, of which some tokenizers make tokens, are more than frames of a slow codec.
        requests = [Request(self.processor.recognition_document(one), 2 * len(one) + 32, 0) for one in heard]
        answers = self._write(requests, None, hearing)
        return answers if isinstance(audio, list) else answers[0]

    @overload
    def say(
        self,
        text: list[str],
        speaker: str | int | None = None,
        seed: int | Sequence[int] = 0,
        *,
        sampling: Sampling | None = None,
    ) -> list[Speech]: ...
    @overload
    def say(
        self, text: str, speaker: str | int | None = None, seed: int = 0, *, sampling: Sampling | None = None
    ) -> Speech: ...
    def say(
        self,
        text: str | list[str],
        speaker: str | int | None = None,
        seed: int | Sequence[int] = 0,
        *,
        sampling: Sampling | None = None,
    ) -> Speech | list[Speech]:
        """Speak a text.

        Args:
            text: at least a word; or a list: a batch.
            speaker: name or number of one of the vocoder's voices; default: its first.
            seed: of sampling and vocoder; of a batch each text's own, or the first one's, and the others count on.
            sampling: None for the most likely unit at every step.

        Raises:
            InputError: no text, no vocoder, no such speaker, or the model says nothing; in a batch what says nothing
                becomes speech without samples.
        """
        texts = text if isinstance(text, list) else [text]
        speaker_rate = self._speaker().frame_rate
        requests = [
            Request(self._to_say(one), most_units(one, self.space, speaker_rate), own)
            for one, own in zip(texts, seeds_of(seed, len(texts)), strict=True)
        ]
        spoken = self._speak(requests, sampling, speaker)
        if isinstance(text, list):
            return spoken
        return _said_something(spoken[0])

    def say_in_pieces(
        self, text: str, speaker: str | int | None = None, seed: int = 0, *, sampling: Sampling | None = None
    ) -> Iterator[StreamPiece]:
        """As :meth:`say`, while it is made: sound in chunks, the first of them early."""
        begin = time.perf_counter()
        request = Request(self._to_say(text), most_units(text, self.space, self._speaker().frame_rate), seed)
        return self._stream(request, "speech", sampling, speaker, None, begin)

    def generate(
        self,
        prompt: Prompt | Sequence[Prompt] | Document,
        *,
        to: To = "speech",
        max_seconds: float | None = None,
        max_new: int | None = None,
        sampling: Sampling | Literal["own"] | None = _OWN,
        seed: int | Sequence[int] = 0,
        speaker: str | int | None = None,
        stream: bool = False,
    ) -> Any:
        """Go on where a prompt ends.

        Args:
            prompt: a text, a recording, units, or a list of them in turns; a list of such lists is a batch. Or a
                document that ends where the answer begins.
            to: ``speech`` or ``text``.
            max_seconds: most seconds of speech.
            max_new: most units or tokens; by default what the bundle says, 150 units and 40 tokens elsewhere.
            sampling: None for the most likely id at every step; ``own``: as the bundle says.
            seed: as for :meth:`say`.
            speaker: as for :meth:`say`.
            stream: give pieces while they are made; for one prompt.

        Returns:
            An :class:`~smoltolk.inference.answers.Answer`; of a batch a list of them; of a stream an iterator of
            :class:`~smoltolk.inference.answers.StreamPiece`.

        Raises:
            InputError: nothing in a prompt, no room for an answer behind it, no units or vocoder where they are needed,
                a limit below 1, or the model says nothing, as in :meth:`say`.
        """
        if to not in ("speech", "text"):
            raise InputError("an answer is speech or text", repr(to), "choose one of them")
        if to == "speech":
            self._speaker()
        batched = isinstance(prompt, list) and bool(prompt) and all(isinstance(one, list) for one in prompt)
        prompts: list[Any] = list(prompt) if batched else [prompt]  # type: ignore[arg-type]
        drawn = self.settings.sampling if sampling == _OWN else sampling
        begin = time.perf_counter()
        documents = [self._document(one, to) for one in prompts]
        hearing = time.perf_counter() - begin
        most = self.most_ids(to, max_seconds, max_new)
        seeds = seeds_of(seed, len(prompts))
        requests = [Request(one, most, own) for one, own in zip(documents, seeds, strict=True)]
        if stream:
            if batched:
                raise InputError("a stream follows one prompt", f"a batch of {len(prompts)}", "stream one at a time")
            return self._stream(requests[0], to, drawn, speaker, max_seconds, begin)
        if to == "text":
            answers = self._write(requests, drawn, hearing)
        else:
            spoken = self._speak(requests, drawn, speaker, hearing, max_seconds)
            if not batched:
                _said_something(spoken[0])
            answers = [Answer(speech=one, ended=one.ended, timings=one.timings) for one in spoken]
        return answers if batched else answers[0]

    # ------------------------------------------------------------------ how

    def _stream(
        self,
        request: Request,
        to: To,
        sampling: Sampling | None,
        speaker: str | int | None,
        max_seconds: float | None,
        begin: float,
    ) -> Iterator[StreamPiece]:
        speaks = to == "speech"
        room_of(self.model, request, speaks)  # told at once, not by the thread
        if speaks:
            check_voice(self._speaker(), speaker)

        def run(streamer: PieceIterator, stop: Callable[[], bool]) -> Generation:
            (made,) = continue_all(
                self.model, [request], speaks=speaks, sampling=sampling, streamer=streamer, stop=stop
            )
            return made

        voice = Voice(in_chunks(self._speaker()), speaker, request.seed, max_seconds) if speaks else None
        return stream_answer(run, self.tokenizer, self.space, voice, begin=begin)

    def _write(self, requests: list[Request], sampling: Sampling | None, hearing: float) -> list[Answer]:
        begin = time.perf_counter()
        made = continue_all(self.model, requests, speaks=False, sampling=sampling)
        timings = Timings(hearing, time.perf_counter() - begin)
        return [Answer(text=to_text(one, self.tokenizer), ended=one.ended, timings=timings) for one in made]

    def _speak(
        self,
        requests: list[Request],
        sampling: Sampling | None,
        speaker: str | int | None,
        hearing: float = 0.0,
        max_seconds: float | None = None,
    ) -> list[Speech]:
        check_voice(self._speaker(), speaker)  # before the model has worked for it
        begin = time.perf_counter()
        is_long = longer_than(max_seconds, self.space, self._speaker())
        made = continue_all(self.model, requests, speaks=True, sampling=sampling, is_long=is_long)
        thought = time.perf_counter()
        sounds = [
            self._sound(one, request.seed, speaker, max_seconds) for one, request in zip(made, requests, strict=True)
        ]
        timings = Timings(hearing, thought - begin, time.perf_counter() - thought)
        return [
            Speech(waveform, self.speaking_rate, units, one.ended, timings)
            for one, (units, waveform) in zip(made, sounds, strict=True)
        ]

    def _sound(
        self, made: Generation, seed: int, speaker: str | int | None, max_seconds: float | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Units and their waveform."""
        units, durations = to_units(made, self.space), None
        if len(units) == 0:
            return units, np.zeros(0, np.float32)
        if max_seconds is not None and self.space.num_codebooks == 1:
            durations = durations_of(units, self._speaker())
            kept = max(1, int((durations.cumsum() <= max_seconds * self._speaker().frame_rate).sum()))
            units, durations = units[:kept], durations[:kept]
        return units, speak(units, self._speaker(), seed=seed, voice=speaker, durations=durations)

    def most_ids(self, to: To, max_seconds: float | None = None, max_new: int | None = None) -> int:
        """Ids that an answer may have; every unit lasts a frame at least, so seconds are a number of units too.

        Raises:
            InputError: seconds of text, or a limit below 1.
        """
        if max_seconds is not None and to == "text":
            raise InputError("seconds limit speech", f"max_seconds = {max_seconds}", "limit text by max_new")
        if max_seconds is not None and not math.isfinite(max_seconds):
            raise InputError("a limit is a number", f"max_seconds = {max_seconds}", "leave it out for no limit")
        limits = [] if max_new is None else [max_new]
        if max_seconds is not None:
            limits.append(int(max_seconds * self._speaker().frame_rate))
        if not limits:
            limits = [self.settings.max_units if to == "speech" else self.settings.max_tokens]
        if min(limits) < 1:
            raise InputError(
                "an answer has an id at least", f"max_new = {max_new}, max_seconds = {max_seconds}", "give more"
            )
        return min(limits)

    def _document(self, prompt: Prompt | Document, to: To) -> Document:
        if isinstance(prompt, Document):
            return prompt
        parts = list(prompt) if isinstance(prompt, list) else [prompt]
        read = [self._part(one) for one in parts]
        return self.processor.document(read, continue_in=to)

    def _part(self, part: Any) -> Any:
        """A segment as the processor takes it."""
        if is_recording(part):
            return self.units_of(part)
        if isinstance(part, str):
            _check_text(part)
        return part

    def _to_say(self, text: str) -> Document:
        _check_text(text)
        return self.processor.synthesis_document(text)

    def _held(self) -> UnitTokenizer:
        if self.units is None:
            raise InputError("hearing needs the units of the model", "no units", "name their directory")
        return self.units

    def _speaker(self) -> Speaker:
        if self.vocoder is None:
            raise InputError("speaking needs a vocoder, or the codec of the units", "none", "name its directory")
        return self.vocoder


def _said_something(speech: Speech) -> Speech:
    if len(speech.units) == 0:
        raise InputError(
            "there must be something to say", "the model ended at once", "try another prompt or seed, or train longer"
        )
    return speech


def _check_text(text: str) -> None:
    if not text.strip():
        raise InputError("a text needs a word", repr(text), "write something")
