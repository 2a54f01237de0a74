from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.speech.recognition.recognisers import recogniser_named, transcribe_all

SILENCE = [np.zeros(16_000, np.float32)]


def test_judges_by_name(ctc_dir: Path) -> None:
    assert recogniser_named(str(ctc_dir), device="cpu").name == str(ctc_dir)
    assert len(transcribe_all(SILENCE, ["unused"], judge=str(ctc_dir))) == 1
    with pytest.raises(NotFoundError, match="no directory"):
        recogniser_named("./no-such-model")


def test_pocketsphinx_needs_texts() -> None:
    pytest.importorskip("pocketsphinx", reason="needs the extra 'judge'")
    assert recogniser_named("pocketsphinx", texts=["a fox"], workers=0).transcribe_batch([]) == []
    with pytest.raises(InputError, match="texts with words"):
        recogniser_named("pocketsphinx")
