"""Which modality ``generate()`` makes, and where it stops: plain settings for transformers' own generation.

``model.generate(**prompt, **generation_settings(model.config, "speech"), max_new_tokens=200)``

The modality of the next id follows from the ids before it (:mod:`smoltolk.model.modality`), so a model is led by
deciding about ``<switch>`` alone.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from smoltolk.common.errors import InputError
from smoltolk.model.codec.code_stream import last_place
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.ids import IdSpace
from smoltolk.model.modality import next_is_speech

Modality = Literal["text", "speech", "any"]


def generation_settings(
    config: SmolTolkConfig, modality: Modality, *, shortest_run: int = 1, stop_at_switch: bool = False
) -> dict[str, Any]:
    """Keyword arguments for ``generate()``.

    Args:
        config: the model's.
        modality: ``text`` or ``speech``: only that, after a ``<switch>`` if the prompt asks for the other. ``any``:
            the model chooses, for which it must be trained (``predict_switch``).
        shortest_run: with ``any``, ids between two changes of modality, at least 1.
        stop_at_switch: with ``any``, stop where the model would change its modality, not only at an end.

    Returns:
        ``eos_token_id``, ``pad_token_id``, ``logits_processor`` and, where it is needed, ``stopping_criteria``.

    Raises:
        InputError: an unknown modality, a run shorter than 1, or a choice that the model has not learned.
    """
    space = config.id_space
    if modality not in get_args(Modality):
        raise InputError(f"a modality is one of {', '.join(get_args(Modality))}", repr(modality), "choose one of them")
    if modality != "any":
        end = space.eos_speech if modality == "speech" else space.eos_text
        only = LogitsProcessorList([OneModality(space, speech=modality == "speech")])
        return {"eos_token_id": end, "pad_token_id": end, "logits_processor": only}
    if not config.predict_switch:
        raise InputError(
            "a model chooses its modality if it was trained to predict <switch>",
            "predict_switch=False",
            "ask for 'text' or 'speech', or train with predict_switch=True",
        )
    settings = generation_defaults(space)
    settings["logits_processor"] = LogitsProcessorList([ShortestRun(space, shortest_run)])
    if stop_at_switch:
        settings["stopping_criteria"] = StoppingCriteriaList([StopAtSwitch(space)])
    return settings


def generation_defaults(space: IdSpace) -> dict[str, Any]:
    """Where ``generate()`` stops if nothing is asked for: at the end of text or of speech."""
    return {"eos_token_id": [space.eos_text, space.eos_speech], "pad_token_id": space.eos_text}


class OneModality(LogitsProcessor):
    """One modality alone: ``<switch>`` is certain where the other one is due, and impossible where it is not.

    Before it, frames that are being said are said to their end.

    Args:
        space: the id space.
        speech: speech or text.
    """

    def __init__(self, space: IdSpace, *, speech: bool):
        self.space, self.speech = space, speech

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """ids [B, T] so far and scores [B, V + U] -> scores.

        Raises:
            InputError: a row ends with a ``<switch>`` to the other modality, behind which no second one can stand.
        """
        wrong = due_is_speech(input_ids, self.space) != self.speech
        if bool((wrong & (input_ids[:, -1] == self.space.switch)).any()):
            wanted, other = ("speech", "text") if self.speech else ("text", "speech")
            raise InputError(
                "something must stand between two switches", f"{wanted} behind a <switch> to {other}",
                f"leave the last <switch> out of the prompt, or ask for {other}",
            )  # fmt: skip
        certain = torch.where(closing(input_ids, self.space), self.space.pad_speech, self.space.switch)
        ids = torch.arange(scores.shape[-1], device=scores.device)
        is_certain = (ids == certain[:, None]) & wrong[:, None]
        scores = scores.masked_fill(torch.where(wrong[:, None], ~is_certain, ids == self.space.switch), -torch.inf)
        # A model that does not predict <switch> gives it the dtype's minimum: here it is certain.
        return scores.masked_fill(is_certain, 0.0)


class ShortestRun(LogitsProcessor):
    """No ``<switch>`` before so many ids of the present modality; with 1: no two of them in a row.

    Frames count as the ids that carry them. The first codebook does not fall silent either where a ``<switch>`` would
    follow too early: behind the delay nothing else could stand but an end.

    Args:
        space: the id space.
        shortest: ids of a run, at least 1.
    """

    def __init__(self, space: IdSpace, shortest: int = 1):
        if shortest < 1:
            raise InputError("a run has an id at least", f"{shortest}", "give 1 or more")
        self.space, self.shortest = space, shortest

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """ids [B, T] so far and scores [B, V + U] -> scores."""
        ids, space = torch.arange(scores.shape[-1], device=scores.device), self.space
        scores = scores.masked_fill(self._within(input_ids, self.shortest) & (ids == space.switch), -torch.inf)
        if self.shortest <= space.tail or space.num_codebooks == 1:
            return scores
        speaks = (input_ids[:, -1:] >= space.speech_offset) & (input_ids[:, -1:] < space.eos_speech)
        early = self._within(input_ids, self.shortest - space.tail) & speaks
        return scores.masked_fill(early & (ids == space.pad_speech), -torch.inf)

    def _within(self, input_ids: Tensor, number: int) -> Tensor:
        """[B, 1]: whether there is a ``<switch>`` among the last ids."""
        return (input_ids[:, -number:] == self.space.switch).any(1, keepdim=True)


class StopAtSwitch(StoppingCriteria):
    """A row is done with its ``<switch>``: what it was saying or writing is complete, and another voice may come in.

    Args:
        space: the id space.
    """

    def __init__(self, space: IdSpace):
        self.space = space

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """ids [B, T] so far -> bool [B]."""
        return input_ids[:, -1] == self.space.switch


def closing(input_ids: Tensor, space: IdSpace) -> Tensor:
    """Whether frames of several codebooks are still being said, bool [B], behind ids [B, T]."""
    index, pads = last_place(input_ids, space)
    return (index >= 0) & (pads < space.tail)


def due_is_speech(input_ids: Tensor, space: IdSpace) -> Tensor:
    """Whether speech comes next, bool [B], after ids [B, T]; padding on the left must be text."""
    last = input_ids[:, -2:]  # the present id, and the one before it in case this is a <switch>
    is_speech = last >= space.speech_offset
    before = torch.cat([torch.zeros_like(is_speech[:, :1]), is_speech[:, :-1]], dim=1)
    return next_is_speech(last, space.switch, is_speech, before)[:, -1]
