import pytest
import torch

from smoltolk.speech.units.phone_network import PhoneNetwork, draw_crops


@pytest.fixture(scope="module")
def network() -> PhoneNetwork:
    torch.manual_seed(0)
    return PhoneNetwork(41).eval().requires_grad_(False)


def test_size_and_shape(network: PhoneNetwork) -> None:
    assert 0.6e6 < sum(p.numel() for p in network.parameters()) < 0.8e6
    assert network(torch.randn(2, 80, 400)).shape == (2, 41, 100)


def test_padding_acts_like_the_end_of_a_file(network: PhoneNetwork) -> None:
    mel = torch.randn(1, 80, 200)
    padded = torch.nn.functional.pad(mel, (0, 120))
    mask = (torch.arange(320) < 200)[None]
    torch.testing.assert_close(network(padded, mask)[..., :50], network(mel), rtol=1e-4, atol=1e-5)


def test_no_frame_sees_further_than_stated(network: PhoneNetwork) -> None:
    mel = torch.randn(1, 80, 400)
    changed = mel.clone()
    changed[..., 200:204] += 1.0  # frame 50
    moved = (network(mel) - network(changed)).abs().amax((0, 1)) > 1e-6
    reach = (moved.nonzero().squeeze(1) - 50).abs().max()
    assert 8 <= reach <= network.context_frames


def test_crops_are_a_function_of_the_generator_and_keep_labels_with_sound() -> None:
    # Every hop of this "utterance" is its own label: sound and label must move together.
    hops = 300
    mels = [torch.arange(hops).float().expand(80, hops) * 0.1]
    labels = [torch.arange(hops)]
    first = draw_crops(mels, labels, 8, 120, torch.Generator().manual_seed(3), augment=False)
    again = draw_crops(mels, labels, 8, 120, torch.Generator().manual_seed(3), augment=False)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    mel, label = first
    inside = label >= 0
    assert inside.any(1).all()
    assert ((mel[:, 0] / 0.1 - label).abs()[inside] <= 0.51).all()
    disguised, _ = draw_crops(mels, labels, 8, 120, torch.Generator().manual_seed(3))
    assert disguised.shape == mel.shape and torch.isfinite(disguised).all()


def test_utterances_shorter_than_a_crop_are_padded() -> None:
    mel, label = draw_crops([torch.randn(80, 10)], [torch.ones(10, dtype=torch.int64)], 4, 100, torch.Generator())
    assert mel.shape == (4, 80, 100)
    assert ((label >= 0).sum(1) > 0).all() and ((label >= 0).sum(1) <= 12).all()
