"""What transformers' ``generate()`` asks of a model whose ids are text and speech in one space."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.generation.candidate_generator import CandidateGenerator, PromptLookupCandidateGenerator

from smoltolk.model.codec.generation import CodebookGenerationMixin
from smoltolk.model.generation.transition_scores import TransitionScoresMixin


class SmolTolkGenerationMixin(CodebookGenerationMixin, TransitionScoresMixin):
    """``generate()`` as it is in transformers, with the answers that the one id space and the flat cache need."""

    def prepare_inputs_for_generation(self, *args: Any, code_stream: Any = None, **kwargs: Any) -> dict[str, Any]:
        """As in transformers; on a CPU it also looks whether the text head can be left out of a (compiled) step."""
        inputs = super().prepare_inputs_for_generation(*args, code_stream=code_stream, **kwargs)
        ids = inputs["input_ids"]
        if ids is not None and ids.shape[1] == 1 and ids.device.type == "cpu":
            inputs["speech_only"] = bool((ids >= self.config.speech_offset).all())
        return inputs

    def create_masks_for_generate(self, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
        """``generate`` with a static cache asks for 4-D masks; each sub-model makes its own from the 2-D one."""
        return attention_mask

    def _get_static_cache_init_shape(self) -> None:
        """A static cache's layers get their shapes from the states they are given: the history has its own."""

    def _get_candidate_generator(self, *args: Any, **kwargs: Any) -> CandidateGenerator:
        """Prompt lookup asks the logits processors about every id, not only those of the text model."""
        generator = super()._get_candidate_generator(*args, **kwargs)
        if isinstance(generator, PromptLookupCandidateGenerator):
            generator.vocab_size = self.config.vocab_size
        return generator
