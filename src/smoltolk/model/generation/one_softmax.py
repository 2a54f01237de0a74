"""Options of ``generate()`` that were made for models of one softmax: set right for two, or refused by name."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.generation import logits_process as processing

from smoltolk.common.errors import InputError
from smoltolk.model.generation.modes import due_is_speech
from smoltolk.model.ids import IdSpace

# What draws from the scores as they are then, at the end of the list.
_DRAWING = (
    processing.TemperatureLogitsWarper,
    processing.TopHLogitsWarper,
    processing.TopKLogitsWarper,
    processing.TopPLogitsWarper,
    processing.MinPLogitsWarper,
    processing.TypicalLogitsWarper,
    processing.EpsilonLogitsWarper,
    processing.EtaLogitsWarper,
    processing.LogitNormalization,
)


class Due(LogitsProcessor):
    """Notes which modality the model itself allows next, before anything else touches the scores.

    Args:
        space: the id space.
    """

    def __init__(self, space: IdSpace):
        self._space = space
        self._text = self._speech = torch.zeros(0, dtype=torch.bool)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [B, ids] as they are."""
        # One of the two ends holds the dtype's minimum. Prompt lookup asks with equal scores: then nothing is known.
        text, speech = scores[:, self._space.eos_text], scores[:, self._space.eos_speech]
        self._text, self._speech = text > speech, speech > text
        return scores

    def impossible(self, scores: Tensor) -> Tensor:
        """[B, ids] bool: ids of the modality that is not due. ``<switch>`` is none of them."""
        ids = torch.arange(scores.shape[-1], device=scores.device)
        is_speech = ids >= self._space.speech_offset
        wrong = torch.where(is_speech, self._text[:, None], self._speech[:, None])
        return wrong & (ids != self._space.switch)


class OnlyDue(LogitsProcessor):
    """Forbids what other processors have lifted although it cannot follow.

    ``exponential_decay_length_penalty`` adds to the end of text among units too, and ``forced_eos_token_id`` makes both
    ends certain at once.

    Args:
        due: noted the modality of the same step.
    """

    def __init__(self, due: Due):
        self._due = due

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [B, ids] -> scores."""
        return scores.masked_fill(self._due.impossible(scores), -torch.inf)


def for_two_softmaxes(processors: LogitsProcessorList, space: IdSpace) -> LogitsProcessorList:
    """Processors of transformers, in their order, with what two softmaxes need among them."""
    for one in processors:
        if isinstance(one, processing.WatermarkLogitsProcessor):  # made for the text model's ids alone
            one.greenlist_size = int(space.size * one.greenlist_size / one.vocab_size)
            one.vocab_size = space.size
    drawing = (number for number, one in enumerate(processors) if isinstance(one, _DRAWING))
    place = next(drawing, len(processors))
    if place:  # what could lift an id that cannot follow; drawing does not
        due = Due(space)
        processors.insert(place, OnlyDue(due))
        processors.insert(0, due)
    return processors


def check_guidance(config: GenerationConfig, space: IdSpace, prompts: Tensor | None, negative: Tensor | None) -> None:
    """Guidance compares what follows two prompts, so the same modality must be due after both.

    Args:
        config: of the call.
        space: the id space.
        prompts: [B, T].
        negative: [B, N]; None: transformers takes the last id of each prompt.

    Raises:
        InputError: it is not, or the model has several codebooks, whose codes the second forward pass would lack.
    """
    if config.guidance_scale in (None, 1) or prompts is None:
        return
    if space.num_codebooks > 1:
        raise InputError(
            "guidance_scale runs the model a second time with ids alone, and frames are more than their ids",
            f"guidance_scale = {config.guidance_scale} with {space.num_codebooks} codebooks",
            "leave guidance_scale out",
        )
    other = prompts[:, -1:] if negative is None else negative.to(prompts.device)
    apart = due_is_speech(prompts, space) != due_is_speech(other, space)
    # Behind another <switch> they would part, though they agree on what is due now.
    apart = apart | ((prompts[:, -1] == space.switch) != (other[:, -1] == space.switch))
    if bool(apart.any()):
        raise InputError(
            "guidance_scale compares what follows two prompts: both must go on in one modality",
            "a prompt that ends otherwise than what it is compared with: its negative prompt, or its last id alone",
            "give negative_prompt_ids that end as the prompts do, <switch> and what stands before it included",
        )
