"""``generate()`` for several codebooks: ids as ever, and the units of the other codebooks drawn beside them.

Each step of ``generate`` draws the first codebook's id, by whatever means its caller asks for. The other codebooks of
the same position are drawn from the logits of the same step, where the delay lets them speak; the first codebook's ids
alone say where that is. So they ride beside the loop, not in it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import Cache, GenerationConfig, GenerationMixin, LogitsProcessor, LogitsProcessorList
from transformers.generation import logits_process as warpers
from transformers.generation.candidate_generator import CandidateGenerator
from transformers.utils import ModelOutput, logging

from smoltolk.common.errors import InputError
from smoltolk.model.codebooks import check_codes, check_layout, speaking
from smoltolk.model.delays import SILENT
from smoltolk.model.ids import IdSpace

_log = logging.get_logger(__name__)
# What shapes the distribution that ids are drawn from, whichever ids they are.
_WARPERS = (
    warpers.TemperatureLogitsWarper,
    warpers.TopKLogitsWarper,
    warpers.TopPLogitsWarper,
    warpers.MinPLogitsWarper,
    warpers.TypicalLogitsWarper,
    warpers.EpsilonLogitsWarper,
)


def last_place(input_ids: Tensor, space: IdSpace) -> tuple[Tensor, Tensor]:
    """Where the last position stands in its run of frames, seen from the end.

    Args:
        input_ids: [B, T].
        space: the id space.

    Returns:
        Index in the run [B], capped at the largest delay (more does not matter), -1 outside; and the ``pad_speech`` ids
        that the run has had [B].
    """
    window = input_ids[:, -(space.tail + 1) :].flip(1)
    last_pads = (window == space.pad_speech).int().cumprod(1)
    units = (window >= space.speech_offset) & (window < space.eos_speech)
    members, pads = (last_pads.bool() | units).int().cumprod(1).sum(1), last_pads.sum(1)
    in_run = members > pads  # pads alone are padding
    return torch.where(in_run, members - 1, -1), torch.where(in_run, pads, 0)


class DelayRule(LogitsProcessor):
    """Keeps the first codebook to the delay pattern: units, then as many ``pad_speech`` as the delay, then the end."""

    def __init__(self, space: IdSpace):
        self._space = space

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[B, T] and [B, V + U] -> [B, V + U]."""
        space = self._space
        index, pads = last_place(input_ids, space)
        inside, done = index >= 0, pads == space.tail  # without any delay, every unit completes its frame
        possible = torch.ones_like(scores, dtype=torch.bool)
        possible[:, space.speech_offset : space.eos_speech] = ~(inside & (pads > 0))[:, None]
        possible[:, space.pad_speech] = inside & ~done
        possible[:, space.eos_speech] = ~inside | done
        possible[:, space.switch] = ~inside | done
        return scores.masked_fill(~possible, -torch.inf)


class CodeStream:
    """The codes of one call of ``generate``, which grow as its ids do.

    Args:
        space: the id space.
        codes: [B, T, Q - 1] of the prompts.
        owed: [B, n, Q - 1], units of the next positions that are known already, -1 where they are not.
    """

    def __init__(self, space: IdSpace, codes: Tensor, owed: Tensor):
        self.space, self.codes, self._owed = space, codes, owed
        self._prompts, self._prompt_length = codes, codes.shape[1]
        self._warpers = LogitsProcessorList()
        self._samples = self._beams = self.spoke = False
        self._next: Tensor | None = None

    def configure(self, config: GenerationConfig, processors: LogitsProcessorList) -> None:
        """Draw as the call of ``generate`` draws its ids."""
        self._samples, self._beams = bool(config.do_sample), (config.num_beams or 1) > 1
        self._warpers = LogitsProcessorList([one for one in processors if isinstance(one, _WARPERS)])

    def offer(self, logits: Tensor) -> None:
        """Take the logits [B, Q - 1, K] of the position to come."""
        self._next = logits

    def codes_for(self, input_ids: Tensor, length: int, cache: Cache | None) -> Tensor:
        """The codes [B, length, Q - 1] of the positions that the model reads next.

        Args:
            input_ids: all ids so far, or a chunk of the prompts.
            length: how many of the last of them it reads.
            cache: tells where a chunk begins.
        """
        if input_ids.shape[0] != self.codes.shape[0]:  # a row for each beam or returned sequence
            self.codes, self._owed = (
                part.repeat_interleave(input_ids.shape[0] // len(part), 0) for part in (self.codes, self._owed)
            )
        if input_ids.shape[1] < self.codes.shape[1]:
            start = 0 if cache is None else int(cache.get_seq_length())
            return self.codes[:, start : start + length]
        if input_ids.shape[1] > self.codes.shape[1]:
            self._follow(input_ids)
        return self.codes[:, -length:]

    def finish(self, sequences: Tensor) -> Tensor:
        """The codes [N, T, Q - 1] of what ``generate`` returns."""
        missing = sequences.shape[1] - self._prompt_length
        if self._beams:  # they write; what they read has not changed
            prompts = self._prompts.repeat_interleave(sequences.shape[0] // len(self._prompts), 0)
            return torch.nn.functional.pad(prompts, (0, 0, 0, missing), value=SILENT)
        return self.codes_for(sequences, sequences.shape[1], None)

    def _follow(self, input_ids: Tensor) -> None:
        """Draw the codes of the id that was just drawn."""
        place = input_ids.shape[1] - 1
        if self._next is None or place != self.codes.shape[1]:
            raise InputError(
                "with several codebooks ids are generated one by one",
                f"{input_ids.shape[1] - self.codes.shape[1]} new ids at once",
                "leave out candidate ids",
            )
        index, pads = last_place(input_ids, self.space)
        speaks = speaking(index, pads, self.space)
        if self._beams and bool((index >= 0).any()):
            raise InputError(
                "beam search ranks ids, and a frame of several codebooks is more than its id",
                "num_beams > 1 while the model speaks",
                "speak with num_beams=1; beams are for text",
            )
        drawn = torch.where(speaks, self._draw(self._next), SILENT)
        known = place - self._prompt_length
        if known < self._owed.shape[1]:
            drawn = torch.where(speaks & (self._owed[:, known] >= 0), self._owed[:, known], drawn)
        self.codes = torch.cat([self.codes, drawn[:, None].to(self.codes)], dim=1)
        self._next = None

    def _draw(self, logits: Tensor) -> Tensor:
        scores = self._warpers(None, logits.flatten(0, 1).float())  # type: ignore[arg-type] - warpers read no ids
        drawn = scores.softmax(-1).multinomial(1) if self._samples else scores.argmax(-1)
        return drawn.view(logits.shape[:2])


class CodebookGenerationMixin(GenerationMixin):
    """``generate`` that also draws, feeds and returns the codes of several codebooks; with one it is plain."""

    config: Any

    def generate(self, inputs: Tensor | None = None, *args: Any, codes: Tensor | None = None, **kwargs: Any) -> Any:
        """Continue ids, as transformers' ``generate`` does; with several codebooks, whole frames.

        ``return_dict_in_generate=True`` gives ``.codes`` [N, T', Q - 1] beside ``.sequences`` [N, T'];
        :func:`smoltolk.model.codebooks.frames_of` makes frames of a row of both. The codebooks behind the first are
        drawn with the same temperature, top_k, top_p and so on; other logits processors see ids alone.

        Args:
            inputs: [B, T] ids of the prompts, padded on the left; the whole sequences, where a cache is continued.
            args, kwargs: of transformers.
            codes: [B, T + n, Q - 1], those of the prompts, and n >= 0 more positions that are known although the first
                codebook is yet to speak there (:attr:`smoltolk.data.documents.Document.owed`), -1 elsewhere.

        Raises:
            InputError: frames without codes, a prompt that ends inside the delay, several ids at a step.
        """
        space: IdSpace = self.config.id_space
        input_ids = kwargs.get("input_ids") if inputs is None else inputs
        if space.num_codebooks == 1 or input_ids is None:
            if codes is not None:
                raise InputError("codes are for ids of several codebooks", "none of them", "leave codes out")
            return super().generate(inputs, *args, **kwargs)
        stream = self._code_stream(input_ids, codes, kwargs)
        result = super().generate(inputs, *args, code_stream=stream, **kwargs)
        if isinstance(result, ModelOutput):
            result["codes"] = stream.finish(result["sequences"])
        elif bool(((result >= space.speech_offset) & (result < space.eos_speech))[:, input_ids.shape[1] :].any()):
            _log.warning_once(
                f"generate() returned the first of {space.num_codebooks} codebooks alone: ask for the others by"
                " return_dict_in_generate=True"
            )
        return result

    def _code_stream(self, input_ids: Tensor, codes: Tensor | None, kwargs: dict[str, Any]) -> CodeStream:
        space: IdSpace = self.config.id_space
        length, mask = input_ids.shape[1], kwargs.get("attention_mask")
        real = None if mask is None else mask.bool()
        cache = kwargs.get("past_key_values")
        past = 0 if cache is None else int(cache.get_seq_length())
        if past >= length or (mask is not None and mask.shape[1] != length):
            raise InputError(
                "a cache is continued with the whole sequences, whose frames say how the next begin",
                f"{length} ids, a cache of {past}" + ("" if mask is None else f", a mask of {mask.shape[1]}"),
                "give the ids of the earlier call too",
            )
        held = check_codes(input_ids, None if codes is None else codes[:, :length], space)
        check_layout(input_ids, held, space, real)
        _, pads = last_place(input_ids, space)
        if bool(((pads > 0) & (pads < space.tail)).any()):
            raise InputError(
                f"a prompt ends where the first codebook ends, or all {space.num_codebooks} have",
                f"a prompt that ends inside the delay, behind {int(pads.max())} of {space.tail} pad_speech ids",
                "leave off its last pad_speech ids, or add the missing ones",
            )
        owed = held[:, :0] if codes is None else codes[:, length:]
        if bool((owed >= space.num_units).any()):
            raise InputError(
                f"codes are units 0..{space.num_units - 1}", f"{int(owed.max())}", "use the model's own codec"
            )
        return CodeStream(space, held, owed)

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        next_sequence_length: int | None = None,
        past_key_values: Cache | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        is_first_iteration: bool | None = False,
        *,
        code_stream: CodeStream | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Add the codes of the ids that the model reads next."""
        inputs = super().prepare_inputs_for_generation(
            input_ids,
            next_sequence_length=next_sequence_length,
            past_key_values=past_key_values,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            is_first_iteration=is_first_iteration,
            **kwargs,
        )
        if code_stream is not None:
            read = inputs["input_ids"]
            inputs["codes"] = code_stream.codes_for(input_ids, read.shape[1], past_key_values).to(read.device)
        return inputs

    def _update_model_kwargs_for_generation(
        self, outputs: ModelOutput, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        if model_kwargs.get("code_stream") is not None:
            model_kwargs["code_stream"].offer(outputs["codebook_logits"][:, -1])
        return super()._update_model_kwargs_for_generation(outputs, model_kwargs, *args, **kwargs)

    def _get_logits_processor(
        self,
        generation_config: GenerationConfig,
        *args: Any,
        model_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> LogitsProcessorList:
        processors = super()._get_logits_processor(generation_config, *args, model_kwargs=model_kwargs, **kwargs)
        stream = (model_kwargs or {}).get("code_stream")
        if stream is not None:
            stream.configure(generation_config, processors)
            processors.insert(0, DelayRule(stream.space))  # first: what it leaves is what others choose from
        return processors

    def _get_candidate_generator(self, *args: Any, **kwargs: Any) -> CandidateGenerator:
        if self.config.num_codebooks > 1:
            raise InputError(
                "with several codebooks ids are generated one by one",
                "assisted generation or prompt lookup",
                "leave out the assistant",
            )
        return super()._get_candidate_generator(*args, **kwargs)
