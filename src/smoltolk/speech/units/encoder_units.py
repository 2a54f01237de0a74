"""An encoder and a codebook: the unit of a frame is the centre nearest to its features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from smoltolk.common.errors import InputError
from smoltolk.speech.small_networks import check_same, load_config, load_weights, save_network
from smoltolk.speech.units.codebook import Codebook
from smoltolk.speech.units.encoder_kinds import build_encoder
from smoltolk.speech.units.encoders import FrameEncoder
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer, deduplicate, fingerprint_of


class EncoderUnitTokenizer(UnitTokenizer):
    """Units of any encoder, deduplicated.

    Args:
        encoder: waveforms to features.
        codebook: of features of this encoder.

    Raises:
        InputError: the codebook's vectors have another size than the encoder's.
    """

    KIND = "encoder"

    def __init__(self, encoder: FrameEncoder, codebook: Codebook):
        if codebook.dim != encoder.dim:
            raise InputError(
                "a codebook must be made of the encoder's features",
                f"{codebook.dim} numbers a frame there, {encoder.dim} here",
                "give the codebook of this encoder and layer",
            )
        self.encoder, self.codebook = encoder, codebook
        self.sample_rate, self.frame_rate = encoder.sample_rate, encoder.frame_rate
        self.num_units, self.num_codebooks = codebook.num_units, 1
        self._parts = nn.ModuleDict({"encoder": encoder.network, "codebook": codebook})
        self._fingerprint = fingerprint_of(self.config(), self._parts.state_dict())
        self._nearest = codebook

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def encode(self, waveforms: Sequence[np.ndarray]) -> list[Units]:
        found = self.encoder.features(waveforms, self._nearest.nearest)
        return [deduplicate(units.numpy()) for units in found]

    def to(self, device: str) -> None:
        self.encoder.to(device)
        self._nearest = Codebook(self.codebook.centers.to(torch.device(device)))

    def config(self) -> dict[str, Any]:
        return {
            **super().config(),
            "dim": self.codebook.dim,
            "encoder": self.encoder.config(),
        }

    def save(self, directory: Path | str) -> None:
        save_network(directory, {**self.config(), "fingerprint": self.fingerprint}, self._parts)

    @classmethod
    def load(cls, directory: Path | str) -> EncoderUnitTokenizer:
        """Load what :meth:`save` wrote; raises as :func:`~smoltolk.speech.units.kinds.load_unit_tokenizer`."""
        config = load_config(directory, (cls.KIND,), "units of an encoder")
        encoder = build_encoder(config["encoder"])
        codebook = Codebook(torch.zeros(config["num_units"], config["dim"]))
        load_weights(directory, nn.ModuleDict({"encoder": encoder.network, "codebook": codebook}))
        # Made again: its norms follow from its centres.
        tokenizer = cls(encoder, Codebook(codebook.centers))
        check_same("a unit tokenizer", config["fingerprint"], tokenizer.fingerprint)
        return tokenizer
