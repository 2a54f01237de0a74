"""The bottleneck of a phone encoder as features: units finer than phones, still made on the spot.

Like phone units these are supervised: the encoder learned from labels, see :mod:`smoltolk.speech.units.phone_encoder`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from smoltolk.common.errors import InputError
from smoltolk.speech.units.batching import on_threads
from smoltolk.speech.units.encoders import FrameEncoder, Reduce
from smoltolk.speech.units.phone_encoder import PhoneUnitTokenizer
from smoltolk.speech.units.phone_network import PhoneNetwork

BOTTLENECK = 32


class BottleneckEncoder(FrameEncoder):
    """What the phone scores of a frame are made of; windows and statistics as in phone units.

    Args:
        phones: trained with a bottleneck.

    Raises:
        InputError: trained without.
    """

    KIND = "phone bottleneck"
    kind = KIND

    def __init__(self, phones: PhoneUnitTokenizer):
        if not phones.network.bottleneck:
            raise InputError("the phone encoder must have a bottleneck", "it has none", "train it with one")
        self.phones, self.network = phones, phones.network
        self.sample_rate, self.frame_rate = phones.sample_rate, phones.frame_rate
        self.dim = phones.network.bottleneck

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> BottleneckEncoder:
        """Of what :meth:`config` returned; weights are random."""
        held = config["phones"]
        network = PhoneNetwork(len(held["phones"]), held["width"], held["num_blocks"], held["bottleneck"])
        return cls(PhoneUnitTokenizer(held["phones"], network))

    def config(self) -> dict[str, Any]:
        return {"kind": self.KIND, "phones": self.phones.config()}

    def features(self, waveforms: Sequence[np.ndarray], reduce: Reduce | None = None) -> list[Tensor]:
        def one(waveform: np.ndarray) -> Tensor:
            made = self.phones.hidden(waveform).T.contiguous()
            return made if reduce is None else reduce(made)

        return on_threads(one, waveforms, [len(waveform) for waveform in waveforms])
