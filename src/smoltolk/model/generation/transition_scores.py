"""Scores of generated ids over the one id space; transformers would count the text model's ids alone."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import GenerationMixin


class TransitionScoresMixin(GenerationMixin):
    """Scores behind ``generate()``."""

    def compute_transition_scores(
        self,
        sequences: Tensor,
        scores: tuple[Tensor, ...],
        beam_indices: Tensor | None = None,
        normalize_logits: bool = False,
    ) -> Tensor:
        """Scores of the generated ids, as ``GenerationMixin`` computes them.

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
