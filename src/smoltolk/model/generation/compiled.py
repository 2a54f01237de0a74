"""Decoding by compiled code: settings for transformers' own ``generate()``."""

from __future__ import annotations

from typing import Any

import torch
from transformers import CompileConfig


def compiled_decoding(device: torch.device | str) -> dict[str, Any]:
    """Keyword arguments that let ``generate()`` compile the step and keep a cache of fixed size.

    The first call takes a minute; the next ones with prompts and lengths of the same size take none. The compiled step
    does not look whether the model has changed: after training or loading other weights into other modules, call
    ``torch._dynamo.reset()``.

    Args:
        device: of the model.

    Returns:
        ``cache_implementation`` and ``compile_config``.
    """
    if torch.device(device).type == "cuda":  # CUDA graphs, which is what this mode means
        return {"cache_implementation": "static", "compile_config": CompileConfig(mode="reduce-overhead")}
    # Looking at every module of the model takes a tenth of a small model's step.
    options = {"guard_filter_fn": torch.compiler.skip_guard_on_all_nn_modules_unsafe}
    settings = CompileConfig(mode=None, options=options)
    settings._compile_all_devices = True  # transformers compiles on a CPU only if it is told so here
    return {"cache_implementation": "static", "compile_config": settings}
