"""How many threads a model's step takes best: small models lose more by waiting for threads than they gain."""

from __future__ import annotations

import time
from typing import Any

import torch

from smoltolk.common.workers import num_cpus
from smoltolk.inference.batches import evaluating

_ROWS, _WARM, _TIMED = 32, 2, 5
_GAIN = 0.9  # more threads must take less of the time than this


@torch.inference_mode()
def quickest_threads(model: Any) -> int:
    """The number of threads with which a batch of rows takes a step soonest, tried here; torch's own on a GPU.

    Args:
        model: a SmolTolk model that nobody else uses meanwhile.
    """
    before = torch.get_num_threads()
    if next(model.parameters()).is_cuda:
        return before
    ids = torch.full((_ROWS, 1), model.config.eos_text_id)
    best, soonest = 1, float("inf")
    number = 1
    try:
        with evaluating(model):
            while number <= num_cpus():
                torch.set_num_threads(number)
                seconds = min(_seconds(model, ids) for _ in range(_WARM + _TIMED))
                if seconds < _GAIN * soonest:
                    best, soonest = number, seconds
                number *= 2
    finally:
        torch.set_num_threads(before)
    return best


def _seconds(model: Any, ids: torch.Tensor) -> float:
    begin = time.perf_counter()
    model(input_ids=ids, use_cache=True)
    return time.perf_counter() - begin
