"""Units finer than phones."""

from pathlib import Path

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.speech.units.codebook import fit_codebook
from smoltolk.speech.units.encoder_units import EncoderUnitTokenizer
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.units.phone_bottleneck import BOTTLENECK, BottleneckEncoder
from smoltolk.speech.units.phone_encoder import LabelledSpeech, PhoneUnitTokenizer, fit_phone_units
from smoltolk.speech.units.quality import measure_units


@pytest.fixture(scope="module")
def encoder(labelled: list[LabelledSpeech]) -> BottleneckEncoder:
    return BottleneckEncoder(fit_phone_units(labelled, steps=40, bottleneck=BOTTLENECK, seed=0))


def test_scores_are_made_of_the_bottleneck(encoder: BottleneckEncoder, clear_speech: list[np.ndarray]) -> None:
    features = encoder.features(clear_speech[:2])
    assert features[0].shape == (len(clear_speech[0]) // 640, BOTTLENECK)
    head = encoder.phones.network.head
    scores = features[0] @ head.weight[:, :, 0].T + head.bias
    torch.testing.assert_close(scores.T, encoder.phones.scores(clear_speech[0]), atol=1e-4, rtol=1e-4)
    assert torch.equal(encoder.features(clear_speech[1:2])[0], features[1])


def test_finer_units_follow_phones_and_are_saved(
    encoder: BottleneckEncoder, labelled: list[LabelledSpeech], clear_speech: list[np.ndarray], tmp_path: Path
) -> None:
    frames = torch.cat(encoder.features([one.waveform for one in labelled])).numpy()
    tokenizer = EncoderUnitTokenizer(encoder, fit_codebook(frames, 80, steps=60))
    quality = measure_units(tokenizer, labelled[:8])
    assert quality.pnmi > 0.6 and quality.purity > 0.6 and tokenizer.num_units == 80
    tokenizer.save(tmp_path / "units")
    loaded = load_unit_tokenizer(tmp_path / "units")
    assert loaded.fingerprint == tokenizer.fingerprint
    for one, other in zip(loaded.encode(clear_speech), tokenizer.encode(clear_speech), strict=True):
        np.testing.assert_array_equal(one.units, other.units)


def test_phones_without_a_bottleneck_have_none(tokenizer: PhoneUnitTokenizer) -> None:
    assert "bottleneck" not in tokenizer.config()
    with pytest.raises(InputError, match="must have a bottleneck"):
        BottleneckEncoder(tokenizer)
