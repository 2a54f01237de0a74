from pathlib import Path

import pytest

from smoltolk.common.errors import InputError
from smoltolk.speech.synthesis.synthesizers import synthesizer_named


def test_synthesizers_by_name(vits_dir: Path, ctc_dir: Path) -> None:
    assert synthesizer_named("espeak").num_voices("seen") == 64
    model = synthesizer_named(str(vits_dir), aligner=str(ctc_dir), language="nl", device="cpu")
    assert model.num_voices("seen") == 6


def test_what_the_english_ones_cannot() -> None:
    with pytest.raises(InputError, match="espeak speaks English"):
        synthesizer_named("espeak", language="de")
    with pytest.raises(InputError, match="voices of its own"):
        synthesizer_named("flite", speakers="speakers.npy")
