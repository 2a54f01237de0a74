"""What a model in training writes when it hears, and says when it reads or goes on: a few held-out sentences."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from smoltolk.common.files import write_jsonl, write_text
from smoltolk.common.processes import is_main
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.documents import Document, recognition_prompt, synthesis_prompt
from smoltolk.data.rows.mixture import Task
from smoltolk.inference.generation import Generation, generate, to_text, to_units
from smoltolk.inference.speakers import Speaker, most_units, speak_units
from smoltolk.model.ids import IdSpace
from smoltolk.speech.audio import save
from smoltolk.speech.recognition.recognisers import error_rate, transcribe_all

_MOST_WORDS = 15
_CONTINUED_SECONDS = 5
_UNITS_A_SECOND = 25  # of deduplicated units, more than most have


@dataclass(frozen=True)
class Sentence:
    """The first words of an utterance.

    Attributes:
        text: as written.
        tokens: int [n].
        units: int [n], of several codebooks [n, Q].
        begun: the units of its first half.
    """

    text: str
    tokens: np.ndarray
    units: np.ndarray
    begun: np.ndarray


def sentences_of(corpus: AlignedCorpus, most: int) -> list[Sentence]:
    """The first sentence of some utterances, evenly spread; of a long one its first words.

    Args:
        corpus: whose.
        most: sentences that are wanted.
    """
    found: list[Sentence] = []
    for number in dict.fromkeys(np.linspace(0, len(corpus) - 1, 4 * most).astype(int).tolist()):
        if len(found) < most:
            stop = _first_sentence(corpus, number)
            units, text = corpus.units(number, 0, stop), corpus.text(number, 0, stop)
            if stop > 1 and len(units) and text:
                begun = corpus.units(number, 0, max(1, stop // 2))
                found.append(Sentence(text, corpus.tokens(number, 0, stop), units, begun))
    return found


def _first_sentence(corpus: AlignedCorpus, number: int) -> int:
    first = int(corpus.word_offsets[number])
    stop = min(corpus.num_words(number), _MOST_WORDS)
    closes = np.flatnonzero(corpus.closes_sentence[first : first + stop])
    return int(closes[0]) + 1 if len(closes) else stop


@dataclass(frozen=True, kw_only=True)
class Samples:
    """A measure: word error rates of a few sentences, with the recordings and texts in ``samples/STEP``.

    What is asked is what is trained: recognition and synthesis where some stage has them; a speaker also lets the model
    go on where a recording stops. Every process does all of it, so that a model that is shared out keeps step; the
    first one writes.

    Attributes:
        corpus: held-out utterances.
        count: sentences.
        tokenizer: of the text.
        tasks: of the stages.
        folder: of the run.
        speaker: makes sound; None: what is said is not heard.
    """

    corpus: AlignedCorpus
    count: int
    tokenizer: Any
    tasks: Collection[str]
    folder: Path
    speaker: Speaker | None = None

    @cached_property
    def sentences(self) -> list[Sentence]:
        """Asked at every validation."""
        return sentences_of(self.corpus, self.count)

    def __call__(self, model: PreTrainedModel, step: int) -> dict[str, Any]:
        """``recognition_wer`` and ``synthesis_wer``, where they are measured."""
        if not self.sentences:
            return {}
        space, folder = model.config.id_space, self.folder / "samples" / f"{step:06d}"
        figures: dict[str, Any] = {}
        if Task.RECOGNITION in self.tasks:
            figures |= self._recognised(model, space, folder)
        if self.speaker is not None:
            if Task.SYNTHESIS in self.tasks:
                figures |= self._said(model, space, folder, self.speaker)
            self._continued(model, space, folder, self.speaker)
        return figures

    def _recognised(self, model: PreTrainedModel, space: IdSpace, folder: Path) -> dict[str, Any]:
        prompts = [recognition_prompt(space, one.units) for one in self.sentences]
        most = 2 * max(len(one.tokens) for one in self.sentences) + 8
        made = self._made(model, space, prompts, space.eos_text, most)
        texts = [to_text(one, self.tokenizer) for one in made]
        references = [one.text for one in self.sentences]
        if is_main():
            rows = zip(references, texts, made, strict=True)
            write_jsonl(
                folder / "recognition.jsonl",
                ({"reference": said, "hypothesis": heard, "ended": one.ended} for said, heard, one in rows),
            )
        return {"recognition_wer": error_rate(references, texts).wer}

    def _said(self, model: PreTrainedModel, space: IdSpace, folder: Path, speaker: Speaker) -> dict[str, Any]:
        prompts = [synthesis_prompt(space, one.tokens) for one in self.sentences]
        longest = max((one.text for one in self.sentences), key=len)
        made = self._made(model, space, prompts, space.eos_speech, most_units(longest, space, speaker.frame_rate))
        if not is_main():  # the figure is written by the first process, and chooses nothing
            return {}
        waveforms = speak_units([to_units(one, space) for one in made], speaker)
        references = [one.text for one in self.sentences]
        heard = [""] * len(references)
        figures: dict[str, Any] = {}
        if find_spec("pocketsphinx") is not None:
            heard = transcribe_all(waveforms, references, 0)
            figures = {"synthesis_wer": error_rate(references, heard).wer}
        for number, (text, waveform) in enumerate(zip(references, waveforms, strict=True)):
            _write(folder / f"says-{number}.mp3", waveform, f"reads: {text}\nheard: {heard[number]}")
        return figures

    def _continued(self, model: PreTrainedModel, space: IdSpace, folder: Path, speaker: Speaker) -> None:
        prompts = [Document(space).speech(one.begun) for one in self.sentences]
        rate = speaker.frame_rate if space.num_codebooks > 1 else _UNITS_A_SECOND
        made = self._made(model, space, prompts, space.eos_speech, int(_CONTINUED_SECONDS * rate))
        if not is_main():
            return
        both = [
            np.concatenate([one.begun, to_units(more, space)]) for one, more in zip(self.sentences, made, strict=True)
        ]
        for number, waveform in enumerate(speak_units(both, speaker)):
            half = f"{self.sentences[number].text}\n(its first half is given)"
            _write(folder / f"goes-on-{number}.mp3", waveform, half)

    def _made(
        self, model: PreTrainedModel, space: IdSpace, prompts: Sequence[Document], end: int, most: int
    ) -> list[Generation]:
        return generate(model, prompts, end_id=end, pad_id=space.eos_text, max_new_tokens=most)


def _write(path: Path, waveform: np.ndarray, words: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, waveform)
    write_text(path.with_suffix(".txt"), words)
