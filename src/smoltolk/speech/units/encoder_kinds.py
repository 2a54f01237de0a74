"""The kinds of encoders, and how to get one of what its config says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.speech.units.encoders import FrameEncoder
from smoltolk.speech.units.mfcc import MfccEncoder
from smoltolk.speech.units.phone_bottleneck import BottleneckEncoder
from smoltolk.speech.units.pretrained_encoder import PretrainedEncoder

# What a config calls a kind -> what builds it.
KINDS: dict[str, Callable[[Mapping[str, Any]], FrameEncoder]] = {
    kind.KIND: kind.from_config for kind in (MfccEncoder, BottleneckEncoder, PretrainedEncoder)
}


def build_encoder(config: Mapping[str, Any]) -> FrameEncoder:
    """An encoder of this config, its weights still random.

    Raises:
        InputError: no such kind, or a config that its kind does not understand.
    """
    kind = config.get("kind")
    if kind not in KINDS:
        raise InputError(
            f"an encoder is one of {', '.join(KINDS)}", f"kind {kind!r}", "load units of this version of smoltolk"
        )
    try:
        return KINDS[kind](config)
    except (KeyError, TypeError) as error:
        raise InputError(
            "an encoder's config must be whole", f"{kind}: {type(error).__name__} {error}", "copy it again, whole"
        ) from error
