"""Units to waveform: the kinds of vocoders, and how to get one.

============  =========================================================================  =======================
kind          what it does                                                               it takes
============  =========================================================================  =======================
griffinlim    regression to log-mel, Griffin-Lim                                         a minute or two of a CPU
vocos         the same log-mel, and a small network with an inverse Fourier transform     a few minutes of a CPU
hifigan       units straight to samples, against discriminators; several speakers         hours of a GPU
============  =========================================================================  =======================
"""

from __future__ import annotations

from pathlib import Path

from smoltolk.speech.small_networks import as_saved, load_config
from smoltolk.speech.vocoders.griffin_lim import GriffinLimVocoder
from smoltolk.speech.vocoders.griffin_lim_training import fit_vocoder
from smoltolk.speech.vocoders.hifigan import HifiGanVocoder
from smoltolk.speech.vocoders.vocoder import Vocoder
from smoltolk.speech.vocoders.vocos import VocosVocoder

# What config.json calls a kind -> its class.
KINDS: dict[str, type[Vocoder]] = {kind.KIND: kind for kind in (GriffinLimVocoder, VocosVocoder, HifiGanVocoder)}


def load_vocoder(directory: Path | str, unit_fingerprint: str | None = None) -> Vocoder:
    """Load a vocoder of any kind.

    Args:
        directory: what ``save`` wrote.
        unit_fingerprint: of the units it is to speak, if they are known.

    Raises:
        NotFoundError: nothing there.
        InputError: made for other units, an unknown kind, or files that do not belong together.
    """
    kind = load_config(directory, tuple(KINDS), "a vocoder")["kind"]
    with as_saved(directory, "a vocoder"):
        return KINDS[kind].load(directory, unit_fingerprint)


__all__ = ["KINDS", "GriffinLimVocoder", "HifiGanVocoder", "Vocoder", "VocosVocoder", "fit_vocoder", "load_vocoder"]
