"""What a model is fed for an item: which ids stand around prompt and option. Scores of one feed say nothing of another.

::

    begin = eos     <eos> prompt [<switch>] option [<eos>]        the ids that training rows have
    begin = none          prompt [<switch>] option [<eos>]        the first id is given, never scored
    prefix = 10     ten text ids of another item's option before a spoken prompt that a text follows
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.evaluation.sequences import Scored
from smoltolk.model.codec.delays import SILENT
from smoltolk.model.ids import IdSpace

Run = tuple[bool, np.ndarray]  # whether it is speech, and its text ids or units


@dataclass(frozen=True, slots=True)
class Feed:
    """The format of a run.

    Attributes:
        begin: ``eos``: the end id of the first modality stands first; ``none``: the first id of prompt or option does,
            and is never scored.
        end: whether the end id stands behind each option, so that a rule may score it.
        prefix: text ids, the last ones of another item's right option, before a spoken prompt that a text follows.
        prefix_switch: whether ``<switch>`` stands behind them; the published script had none.
        joint: where a spoken option follows a spoken prompt: ``kept`` as both were encoded; ``collapsed``: of two equal
            units there the option's is left out; ``together``: both recordings are joined before they are encoded.
    """

    begin: Literal["eos", "none"] = "eos"
    end: bool = False
    prefix: int = 0
    prefix_switch: bool = True
    joint: Literal["kept", "collapsed", "together"] = "kept"

    def __post_init__(self) -> None:
        allowed = {
            "begin": ("eos", "none"), "end": (True, False), "prefix_switch": (True, False),
            "joint": ("kept", "collapsed", "together"),
        }  # fmt: skip
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                found = repr(getattr(self, name))
                raise InputError(f"{name} of a feed must be one of {values}", found, "choose one of them")
        if not isinstance(self.prefix, int) or self.prefix < 0:
            raise InputError("a prefix has 0 ids or more", f"prefix = {self.prefix}", "give a number from 0 up")

    def as_dict(self) -> dict[str, Any]:
        """For results files."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Fed:
    """One option behind one recording of its prompt.

    Attributes:
        whole: the sequence, its continuation being the option.
        prompt: the prompt by itself, scored from its ``start`` on; None: there is nothing of it to score.
    """

    whole: Scored
    prompt: Scored | None


def fed(space: IdSpace, feed: Feed, prompt: Sequence[Run], option: Sequence[Run], prefix: np.ndarray | None) -> Fed:
    """Build what is scored.

    Args:
        space: of the model.
        feed: how.
        prompt: runs before the option; none: it stands alone.
        option: runs, one at least.
        prefix: text ids of another item; None: no prefix.

    Raises:
        InputError: an empty run.
    """
    if any(len(content) == 0 for _, content in (*prompt, *option)) or not option:
        raise InputError("prompt and options must hold something", "an empty one", "check the recording or text")
    switched = prefix is not None and feed.prefix_switch
    before = [(False, prefix), *prompt] if switched and prefix is not None else list(prompt)
    document = _appended(Document(space), before)
    if prompt and document.next_is_speech != option[0][0]:
        document.switch()
    start = max(len(document), 1)
    alone = Scored.of(document, 1, space) if len(document) > 1 else None
    document = _appended(document, option if feed.joint != "collapsed" else _collapsed(space, prompt, option))
    whole = Scored.of(document.end() if feed.end else document, start, space)
    if feed.begin == "none":
        alone = None if alone is None else _without_begin(alone)
        shorter = _without_begin(whole)
        if shorter is None:
            raise InputError("without a begin id a sequence has two ids at least", "one", "feed a begin id: begin=eos")
        whole = shorter
    if prefix is not None and not switched:
        whole, alone = _behind(prefix, whole), None if alone is None else _behind(prefix, alone)
    return Fed(whole, alone)


def _appended(document: Document, runs: Sequence[Run]) -> Document:
    for is_speech, content in runs:
        if document.next_is_speech not in (None, is_speech):
            document.switch()
        document = document.speech(content) if is_speech else document.text(content)
    return document


def _collapsed(space: IdSpace, prompt: Sequence[Run], option: Sequence[Run]) -> Sequence[Run]:
    (is_speech, units), *others = option
    spoken = bool(prompt) and prompt[-1][0] and is_speech and space.num_codebooks == 1
    if spoken and len(units) > 1 and units[0] == prompt[-1][1][-1]:
        return [(True, units[1:]), *others]
    return option


def _without_begin(sequence: Scored) -> Scored | None:
    """Without the begin id; None if nothing is left to score."""
    if len(sequence.ids) < 3:
        return None
    codes = None if sequence.codes is None else sequence.codes[1:]
    return Scored(sequence.ids[1:], max(sequence.start - 1, 1), codes)


def _behind(prefix: np.ndarray, sequence: Scored) -> Scored:
    ids = np.concatenate([prefix, sequence.ids])
    codes = sequence.codes
    if codes is not None:
        codes = np.concatenate([np.full((len(prefix), codes.shape[1]), SILENT), codes])
    return Scored(ids, sequence.start + len(prefix), codes)
