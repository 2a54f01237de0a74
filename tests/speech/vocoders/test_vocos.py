"""The small Vocos: its size, its invariances, its training."""

from pathlib import Path

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.speech import features
from smoltolk.speech.units.phone_encoder import PhoneUnitTokenizer
from smoltolk.speech.units.tokenizer import Units
from smoltolk.speech.vocoders.training_loop import Keeping
from smoltolk.speech.vocoders.vocos import VocosNetwork, VocosVocoder
from smoltolk.speech.vocoders.vocos_training import fit_vocos

TINY = {"width": 32, "hidden": 64, "num_blocks": 2}


@pytest.fixture(scope="module")
def spoken(tokenizer: PhoneUnitTokenizer, clear_speech: list[np.ndarray]) -> list[Units]:
    return tokenizer.encode(clear_speech)


def mel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Mean difference in nats where the first is audible."""
    size = min(len(first), len(second)) // features.HOP
    a, b = (features.log_mel(torch.from_numpy(x)[None], size)[0] for x in (first, second))
    return float((a - b).abs()[a > a.max() - 5].mean())


def test_it_is_small() -> None:
    assert 1.5e6 < sum(one.numel() for one in VocosNetwork().parameters()) < 1.7e6


def test_what_comes_later_changes_nothing_beyond_its_reach() -> None:
    torch.manual_seed(0)
    network = VocosNetwork(**TINY).eval()
    mel = torch.randn(1, 80, 60)
    changed = mel.clone()
    changed[..., 40:] += 1
    with torch.no_grad():
        first, second = network(mel, mel), network(changed, changed)
    reach = 3 * 3 + 2  # three convolutions of kernel seven, and the windows
    assert torch.equal(first[:, : (40 - reach) * 160], second[:, : (40 - reach) * 160])
    assert not torch.equal(first, second)


def test_training_learns_to_speak(
    clear_speech: list[np.ndarray], spoken: list[Units], tokenizer: PhoneUnitTokenizer
) -> None:
    few, more = (fit_vocos(clear_speech, spoken, tokenizer, steps=n, batch=4, network=TINY) for n in (1, 12))
    assert more.unit_fingerprint == tokenizer.fingerprint and not more.training
    before, after = (mel_distance(clear_speech[0], one.copy_synthesis(clear_speech[0])) for one in (few, more))
    assert after < 0.7 * before
    before, after = (
        mel_distance(clear_speech[0], one.synthesize(spoken[0].units, spoken[0].durations)) for one in (few, more)
    )
    assert after < 0.8 * before


def test_an_interrupted_training_ends_as_one_that_was_not(
    clear_speech: list[np.ndarray],
    spoken: list[Units],
    tokenizer: PhoneUnitTokenizer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fitted(work: Path | None) -> VocosVocoder:
        keeping = Keeping(work, save_every=2, sample_every=2)
        return fit_vocos(
            clear_speech[:3], spoken[:3], tokenizer, steps=4, batch=2, network=TINY, seed=1, keeping=keeping
        )

    whole = fitted(None)
    from smoltolk.speech.vocoders import vocos_training

    draw, drawn = vocos_training.torch_generator, []

    def killed(*names: int | str) -> torch.Generator:
        drawn.append(names)
        if len(drawn) == 4:
            raise KeyboardInterrupt
        return draw(*names)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(vocos_training, "torch_generator", killed)
        fitted(tmp_path)
    assert fitted(tmp_path).fingerprint == whole.fingerprint
    assert {path.name for path in (tmp_path / "samples" / "step-00000004").iterdir()} == {"0.wav", "1.wav"}


def test_training_says_what_it_needs(
    clear_speech: list[np.ndarray], spoken: list[Units], tokenizer: PhoneUnitTokenizer
) -> None:
    with pytest.raises(InputError, match="0 utterances"):
        fit_vocos([], [], tokenizer)
    with pytest.raises(InputError, match="those of their utterance"):
        fit_vocos([clear_speech[0][:8000]], spoken[:1], tokenizer, steps=1)
    other = Units(np.array([41]), np.array([25]))
    with pytest.raises(InputError, match=r"0 \.\. 40"):
        fit_vocos([clear_speech[0][:16000]], [other], tokenizer, steps=1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_and_speaks(
    clear_speech: list[np.ndarray], spoken: list[Units], tokenizer: PhoneUnitTokenizer, tmp_path: Path
) -> None:
    keeping = Keeping(tmp_path, save_every=2, sample_every=2)
    vocoder = fit_vocos(clear_speech, spoken, tokenizer, steps=3, network=TINY, device="cuda", keeping=keeping)
    here = vocoder.synthesize(spoken[0].units, spoken[0].durations)
    np.testing.assert_allclose(vocoder.to("cuda").synthesize(spoken[0].units, spoken[0].durations), here, atol=1e-2)
