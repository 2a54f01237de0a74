"""``generate()`` for several codebooks: ids as ever, and the units of the other codebooks drawn beside them.

Each step of ``generate`` draws the first codebook's id, by whatever means its caller asks for. The other codebooks of
the same position are drawn from the logits of the same step, where the delay lets them speak.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import Cache, GenerationConfig, GenerationMixin, LogitsProcessorList
from transformers.generation.candidate_generator import CandidateGenerator
from transformers.utils import ModelOutput, logging

from smoltolk.common.errors import InputError
from smoltolk.model.codec.code_stream import CodeListener, CodeStream, DelayRule, last_place
from smoltolk.model.codec.codebooks import check_codes, check_layout
from smoltolk.model.ids import IdSpace
from smoltolk.model.text_models.attention import quick_attention

_log = logging.get_logger(__name__)


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
                codebook is yet to speak there (:attr:`smoltolk.data.rows.documents.Document.owed`), -1 elsewhere.

        Raises:
            InputError: frames without codes, a prompt that ends inside the delay, several ids at a step.
        """
        with quick_attention(self):
            return self._generate(inputs, *args, codes=codes, **kwargs)

    def _generate(self, inputs: Tensor | None, *args: Any, codes: Tensor | None, **kwargs: Any) -> Any:
        space: IdSpace = self.config.id_space
        input_ids = kwargs.get("input_ids") if inputs is None else inputs
        if space.num_codebooks == 1 or input_ids is None:
            if codes is not None:
                raise InputError("codes are for ids of several codebooks", "none of them", "leave codes out")
            return super().generate(inputs, *args, **kwargs)
        stream = self._code_stream(input_ids, codes, kwargs)
        if isinstance(kwargs.get("streamer"), CodeListener):
            kwargs["streamer"].code_stream = stream
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
            # First: what it leaves is what others choose from. Here min_length counts min_new_tokens too.
            processors.insert(0, DelayRule(stream.space, generation_config.min_length or 0))
        return processors

    def _get_candidate_generator(self, *args: Any, **kwargs: Any) -> CandidateGenerator:
        if self.config.num_codebooks > 1:
            raise InputError(
                "with several codebooks ids are generated one by one",
                "assisted generation or prompt lookup",
                "leave out the assistant",
            )
        return super()._get_candidate_generator(*args, **kwargs)
