"""Documents: sequences of ids in which text and speech take turns, and which of their ids are predicted.

Every document begins with the end-of-sequence id of its first modality, which is given and never predicted:
so the first real id has something to be predicted from, and the likelihood of a whole document is defined.

The model reads the modality of the next id from the ids alone: it is that of the current id, and after a
``<switch>`` the opposite of what came before it. Control ids are text. So the documents are::

    text          <eos text> text <eos text>
    speech        <eos speech> units <eos speech>
    interleaved   <eos text> text <switch> units <switch> text ... <eos of the last modality>
    recognition   <eos text> <begin prompt> <switch> units <switch> <end prompt> text <eos text>
    synthesis     <eos text> <begin prompt> text <end prompt> <switch> units <eos speech>

Where a frame has several codebooks, ids carry the first one's units and :attr:`Document.codes` the others', each later
by its delay; a run of frames closes with as many ``<pad speech>`` as the largest delay
(:mod:`smoltolk.model.codec.codebooks`).

:class:`Document` keeps these rules, for training rows and for the prompts of evaluation alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.model.codec.delays import SILENT, delayed
from smoltolk.model.ids import IGNORE, IdSpace


class Document:
    """Builds one document piece by piece; every method but the properties returns the document itself.

    ``Document(space).text(tokens).switch().speech(units).end().input_ids``

    Args:
        space: the id space.
        predict_switch: whether ``<switch>`` is something to predict.

    Raises:
        InputError: from any method, when a piece does not have the modality that the ids before it announce.
    """

    def __init__(self, space: IdSpace, *, predict_switch: bool = False):
        self._space, self._predict_switch = space, predict_switch
        self._ids: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []
        self._speech: bool | None = None  # modality of the next id; None before the first
        self._switched = False
        self._grids: list[tuple[int, np.ndarray]] = []  # delayed frames of several codebooks, and where they begin
        self._open: bool | None = None  # of a run of frames that goes on, whether they are predicted; None: no such run

    @property
    def input_ids(self) -> np.ndarray:
        """int64 ``[length]``."""
        return np.concatenate(self._ids) if self._ids else np.zeros(0, np.int64)

    @property
    def labels(self) -> np.ndarray:
        """int64 ``[length]``, aligned with ``input_ids`` (the model shifts); -100: not predicted."""
        return np.concatenate(self._labels) if self._labels else np.zeros(0, np.int64)

    @property
    def codes(self) -> np.ndarray:
        """int64 ``[length, Q - 1]``: the units of the codebooks behind the first, -1 where they are silent."""
        return self._delayed()[: len(self)]

    @property
    def owed(self) -> np.ndarray:
        """int64 ``[n, Q - 1]``: what they have yet to say behind the last id, where that is speech that goes on."""
        return self._delayed()[len(self) :]

    @property
    def next_is_speech(self) -> bool | None:
        """Modality of the id that would come next; None while the document is empty."""
        return self._speech

    def __len__(self) -> int:
        return sum(map(len, self._ids))

    def text(self, tokens: Sequence[int] | np.ndarray, *, predict: bool = True) -> Document:
        """Append text ids."""
        self._enter(speech=False)
        return self._append(np.asarray(tokens, np.int64), predict)

    def speech(self, units: Sequence[int] | np.ndarray, *, predict: bool = True) -> Document:
        """Append units, numbered from 0 as the codebook has them; several codebooks: frames ``[n, Q]``."""
        self._enter(speech=True)
        if self._space.num_codebooks == 1:
            return self._append(np.asarray(units, np.int64) + self._space.speech_offset, predict)
        frames = np.asarray(units, np.int64)
        if len(frames) == 0:
            return self
        self._grids.append((len(self), delayed(frames, self._space.delays)))
        self._append(frames[:, 0] + self._space.speech_offset, predict)
        self._open = predict
        return self

    def switch(self) -> Document:
        """Change the modality; as the first id it leads from text to speech."""
        if self._switched:
            raise InputError("something must stand between two switches", "a second <switch>", "leave out empty runs")
        if self._speech is None:
            self._enter(speech=False)
        self._close()
        self._append(np.array([self._space.switch]), self._predict_switch)
        self._speech, self._switched = not self._speech, True
        return self

    def runs(self, runs: Iterable[tuple[bool, np.ndarray]]) -> Document:
        """Append runs ``(is speech, tokens or units)`` with a ``<switch>`` wherever the modality changes.

        What :meth:`speech`, :meth:`text` and :meth:`switch` give in turn, in one step: interleaved rows have so many
        short runs that a call and a check for each would be most of the work.
        """
        if self._space.num_codebooks > 1:
            for is_speech, ids in runs:
                if len(ids) and self._speech not in (None, is_speech):
                    self.switch()
                if len(ids):
                    (self.speech if is_speech else self.text)(ids)
            return self
        switch = np.array([self._space.switch])
        switch_label = switch if self._predict_switch else np.array([IGNORE])
        for is_speech, ids in runs:
            if len(ids) == 0:
                continue
            if self._speech is None:
                self._enter(is_speech)
            elif self._speech != is_speech:
                self._ids.append(switch)
                self._labels.append(switch_label)
                self._speech = is_speech
            if is_speech:
                ids = ids + np.int64(self._space.speech_offset)
            self._ids.append(ids)
            self._labels.append(ids)
            self._switched = False
        return self

    def begin_prompt(self) -> Document:
        """Append ``<begin prompt>``."""
        return self._control(self._space.begin_prompt)

    def end_prompt(self) -> Document:
        """Append ``<end prompt>``."""
        return self._control(self._space.end_prompt)

    def end(self) -> Document:
        """Append the end-of-sequence id of the current modality."""
        if self._speech is None:
            raise InputError("a document needs something before its end", "nothing", "add text or speech first")
        self._close()
        return self._append(np.array([self._space.eos_speech if self._speech else self._space.eos_text]), True)

    def _control(self, control_id: int) -> Document:
        self._enter(speech=False)
        return self._append(np.array([control_id]), False)

    def _enter(self, speech: bool) -> None:
        if self._speech is None:
            self._speech = speech
            self._append(np.array([self._space.eos_speech if speech else self._space.eos_text]), False)
        elif self._speech != speech:
            names = ("text", "speech")
            raise InputError(
                "a change of modality needs a <switch>",
                f"{names[speech]} where {names[not speech]} was due",
                "call switch() between them",
            )

    def _close(self) -> None:
        """Let the later codebooks of a run of frames finish."""
        if self._open is not None:
            self._append(np.full(self._space.tail, self._space.pad_speech), self._open)
            self._open = None

    def _delayed(self) -> np.ndarray:
        """[length + what is owed, Q - 1]."""
        length = max([len(self), *(start + len(grid) for start, grid in self._grids)])
        codes = np.full((length, self._space.num_codebooks - 1), SILENT, np.int64)
        for start, grid in self._grids:
            here = codes[start : start + len(grid)]
            np.copyto(here, grid[:, 1:], where=grid[:, 1:] != SILENT)  # frames that go on where others are still heard
        return codes

    def _append(self, ids: np.ndarray, predict: bool) -> Document:
        if len(ids):
            self._ids.append(ids)
            self._labels.append(ids if predict else np.full(len(ids), IGNORE))
            self._switched = False
        return self


def recognition_prompt(space: IdSpace, units: Sequence[int] | np.ndarray, *, predict: bool = True) -> Document:
    """Everything of a recognition document before its text: what the model continues by writing."""
    return Document(space).begin_prompt().switch().speech(units, predict=predict).switch().end_prompt()


def synthesis_prompt(space: IdSpace, tokens: Sequence[int] | np.ndarray, *, predict: bool = True) -> Document:
    """Everything of a synthesis document before its units: what the model continues by speaking."""
    return Document(space).begin_prompt().text(tokens, predict=predict).end_prompt().switch()
