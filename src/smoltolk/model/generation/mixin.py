"""What transformers' ``generate()`` asks of a model whose ids are text and speech in one space."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList
from transformers.generation.candidate_generator import CandidateGenerator, PromptLookupCandidateGenerator

from smoltolk.model.codec.generation import CodebookGenerationMixin
from smoltolk.model.generation.one_softmax import check_guidance, for_two_softmaxes


class SmolTolkGenerationMixin(CodebookGenerationMixin):
    """``generate()`` as it is in transformers, with the answers that the one id space and the flat cache need."""

    def prepare_inputs_for_generation(self, *args: Any, code_stream: Any = None, **kwargs: Any) -> dict[str, Any]:
        """As in transformers; it also looks whether the text head can be left out of a (compiled) step."""
        inputs = super().prepare_inputs_for_generation(*args, code_stream=code_stream, **kwargs)
        ids = inputs["input_ids"]
        if ids is not None and ids.shape[1] == 1:  # generate() waits for each step's ids anyway
            inputs["speech_only"] = bool((ids >= self.config.speech_offset).all())
        return inputs

    def create_masks_for_generate(self, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
        """``generate`` with a static cache asks for 4-D masks; each sub-model makes its own from the 2-D one."""
        return attention_mask

    def _get_static_cache_init_shape(self) -> None:
        """A static cache's layers get their shapes from the states they are given: the history has its own."""

    def _get_logits_processor(
        self,
        generation_config: GenerationConfig,
        input_ids_seq_length: int | None = None,
        encoder_input_ids: Tensor | None = None,
        *args: Any,
        negative_prompt_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> LogitsProcessorList:
        """As in transformers; what assumes one softmax is set right or refused."""
        check_guidance(generation_config, self.config.id_space, encoder_input_ids, negative_prompt_ids)
        processors = super()._get_logits_processor(
            generation_config,
            input_ids_seq_length,
            encoder_input_ids,
            *args,
            negative_prompt_ids=negative_prompt_ids,
            **kwargs,
        )
        return for_two_softmaxes(processors, self.config.id_space)

    def _get_candidate_generator(self, *args: Any, **kwargs: Any) -> CandidateGenerator:
        """Prompt lookup asks the logits processors about every id, not only those of the text model."""
        generator = super()._get_candidate_generator(*args, **kwargs)
        if isinstance(generator, PromptLookupCandidateGenerator):
            generator.vocab_size = self.config.vocab_size
        return generator

    def compute_transition_scores(
        self,
        sequences: Tensor,
        scores: tuple[Tensor, ...],
        beam_indices: Tensor | None = None,
        normalize_logits: bool = False,
    ) -> Tensor:
        """Scores of the generated ids over the one id space; transformers would count the text model's ids alone.

        Args:
            sequences: [B, T], prompts and what was generated.
            scores: of each of N steps, [B * beams, V + U].
            beam_indices: [B, N], which row of a step each id came from; -1 behind the end of a beam. None: its own.
            normalize_logits: take log-probabilities of each step.

        Returns:
            [B, n], n ids of the longest row; 0 behind the end of a beam.
        """
        steps = torch.stack(scores, dim=1)  # [B * beams, N, V + U]
        if normalize_logits:
            steps = steps.log_softmax(-1)
        if beam_indices is None:
            beam_indices = torch.arange(len(sequences), device=sequences.device)[:, None].expand(-1, len(scores))
        else:
            beam_indices = beam_indices[:, : int((beam_indices >= 0).sum(-1).max())]
        number = beam_indices.shape[1]
        made = sequences[:, sequences.shape[1] - number :]
        step = torch.arange(number, device=sequences.device)
        found = steps[beam_indices.clamp(min=0), step, made]
        return found.masked_fill(beam_indices < 0, 0.0)
