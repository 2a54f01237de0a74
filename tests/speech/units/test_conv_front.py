"""Convolutions in pieces: the frames of the whole, from less memory."""

import torch
from transformers import HubertConfig, HubertModel

from smoltolk.speech.units.conv_front import ConvFront, geometry

KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)


def test_geometry_of_the_published_encoders() -> None:
    assert geometry(KERNELS, STRIDES) == (400, 320)
    assert geometry((*KERNELS, 2), (*STRIDES, 2)) == (720, 640)


def test_pieces_give_the_frames_of_the_whole() -> None:
    torch.manual_seed(0)
    for options in ({}, {"conv_bias": True}, {"feat_extract_norm": "layer", "conv_bias": True}):
        config = HubertConfig(
            conv_dim=(8,) * 7,
            hidden_size=8,
            num_hidden_layers=0,
            num_attention_heads=1,
            num_conv_pos_embedding_groups=1,
            **options,
        )
        extractor = HubertModel(config).eval().feature_extractor
        front = ConvFront(extractor, KERNELS, STRIDES).eval()
        assert front.state_dict().keys() == extractor.state_dict().keys()
        samples = torch.randn(2, 16_000 * 3 + 77) * 0.1 + 0.05
        with torch.inference_mode():
            whole, pieces = extractor(samples), front(samples)
            assert pieces.shape == whole.shape
            torch.testing.assert_close(pieces, whole, atol=2e-5, rtol=1e-3)
            # A padded row is the frames of its own length, then nothing.
            front.lengths = [len(samples[0]), 20_000]
            padded = front(samples)
            alone = ConvFront(extractor, KERNELS, STRIDES)(samples[1:, :20_000])[0]
        assert torch.equal(padded[0], pieces[0]) and torch.equal(padded[1, :, : alone.shape[1]], alone)
        assert not padded[1, :, alone.shape[1] :].any()
