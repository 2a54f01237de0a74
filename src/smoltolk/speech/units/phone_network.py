"""The network of the offline phone encoder, and what makes it hear through voices it never met."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smoltolk.speech.features import NUM_MELS
from smoltolk.speech.layers import ConvNorm, ResidualConvs

HOPS_PER_FRAME = 4  # 100 hops of log-mel per second become 25 frames


class PhoneNetwork(nn.Module):
    """Normalised log-mel to phone scores: a stem of stride 4, then residual convolutions at 25 Hz.

    Batch norm (running statistics when encoding) keeps frames independent of a batch and of a file's length.

    Args:
        num_phones: classes.
        width: channels.
        num_blocks: residual blocks of kernel 5; each sees two frames more on either side.
        bottleneck: numbers per frame that the scores are made of, for units finer than phones; 0: all channels.
    """

    def __init__(self, num_phones: int, width: int = 160, num_blocks: int = 4, bottleneck: int = 0):
        super().__init__()
        self.width, self.bottleneck = width, bottleneck
        self.stem = nn.ModuleList(
            [
                ConvNorm(NUM_MELS, width, kernel=5, stride=2, padding=2),
                ConvNorm(width, width, kernel=4, stride=2, padding=1),
            ]
        )
        self.blocks = ResidualConvs(width, 5, (1,) * num_blocks)
        self.neck = nn.Conv1d(width, bottleneck, 1) if bottleneck else nn.Identity()
        self.head = nn.Conv1d(bottleneck or width, num_phones, 1)
        self.context_frames = 2 * num_blocks + 3  # on either side; the stem sees less than three frames

    def forward(self, mel_BMT: Tensor, mask_BT: Tensor | None = None) -> Tensor:
        """Scores ``[batch, phones, frames]``.

        Args:
            mel_BMT: normalised log-mel ``[batch, 80, hops]``, hops a multiple of 4.
            mask_BT: ``[batch, hops]`` true where there is sound: padding then acts like the end of a file.
        """
        return self.head(self.hidden(mel_BMT, mask_BT))

    def hidden(self, mel_BMT: Tensor, mask_BT: Tensor | None = None) -> Tensor:
        """What the scores are a linear function of, ``[batch, bottleneck or width, frames]``; as :meth:`forward`."""
        hidden = mel_BMT
        for layer in self.stem:
            hidden = layer(hidden)
            if mask_BT is not None:
                mask_BT = mask_BT[:, ::2]
                hidden = hidden * mask_BT[:, None]
        return self.neck(self.blocks(hidden, mask_BT))


def draw_crops(
    mels: list[Tensor],
    labels: list[Tensor],
    batch_size: int,
    num_hops: int,
    random: torch.Generator,
    *,
    augment: bool = True,
) -> tuple[Tensor, Tensor]:
    """Random stretches of random utterances, as other speakers might have said them.

    Speaking rate (0.85 to 1.2), length of the vocal tract (0.84 to 1.19, as a warp of the frequency axis), a
    steady noise floor, and a masked band. Constant filters need no augmentation: normalisation removes them.

    Args:
        mels: log-mel ``[80, hops]`` of each utterance, not normalised.
        labels: int64 ``[hops]`` of each utterance.
        batch_size: crops to draw.
        num_hops: length of a crop; shorter utterances are padded.
        random: the only source of randomness.
        augment: False gives plain crops.

    Returns:
        log-mel ``[batch, 80, num_hops]``, and labels ``[batch, num_hops]`` with -1 where there is no sound.
    """
    draw = torch.rand(batch_size, 3, generator=random)
    chosen = torch.randint(len(mels), (batch_size,), generator=random)
    rates = 0.85 + 0.35 * draw[:, 0] if augment else torch.ones(batch_size)
    crops, crop_labels = [], []
    for index, rate, place in zip(chosen.tolist(), rates.tolist(), draw[:, 1].tolist(), strict=True):
        mel, label = mels[index], labels[index]
        length = mel.shape[1]
        span = num_hops * rate
        # A third of a crop may hang over either end, so that ends of files are learnt as well.
        start = -span / 3 + place * max(length - span / 3, 0.0)
        position = start + torch.arange(num_hops) * rate
        inside = (position >= 0) & (position <= length - 1)
        position = position.clamp(0, length - 1)
        crops.append(_interpolate(mel, position))
        crop_labels.append(torch.where(inside, label[position.round().long()], -1))
    mel_BMT, label_BT = torch.stack(crops), torch.stack(crop_labels)
    return (_disguise(mel_BMT, random) if augment else mel_BMT), label_BT


def _disguise(mel_BMT: Tensor, random: torch.Generator) -> Tensor:
    batch, mels, hops = mel_BMT.shape
    draw = torch.rand(batch, 6, generator=random)
    # Vocal tract: a speaker with a tract k times shorter has every formant k times higher.
    steps = torch.arange(mels, dtype=torch.float32)
    shift = (draw[:, :1] * 2 - 1) * 4.5  # bands; on the logarithmic part of the scale a factor is a shift
    position = (steps[None] + shift * (steps / 16).clamp(max=1)[None]).clamp(0, mels - 1)
    low = position.floor().long().clamp(max=mels - 2)
    part = (position - low)[..., None]
    below = mel_BMT.gather(1, low[..., None].expand(-1, -1, hops))
    above = mel_BMT.gather(1, (low + 1)[..., None].expand(-1, -1, hops))
    mel_BMT = below + (above - below) * part
    # Noise 2 to 10 nats (17 to 87 dB) under the loudest value, tilted at random, with a little flutter.
    peak = mel_BMT.amax((1, 2), keepdim=True)
    tilt = (draw[:, 1:2] - 0.5) * 4 * (steps / mels - 0.5)[None]
    level = peak - 2 - 8 * draw[:, 2, None, None] + tilt[..., None]
    mel_BMT = torch.logaddexp(mel_BMT, level + 0.4 * torch.randn(batch, mels, hops, generator=random))
    # One masked band of up to 12 mels, in half of the crops.
    width = (draw[:, 3:4] * 24 - 12).clamp(min=0)
    first = draw[:, 4:5] * (mels - width)
    masked = (steps[None] >= first) & (steps[None] < first + width)
    return torch.where(masked[..., None], mel_BMT.mean((1, 2), keepdim=True), mel_BMT)


def _interpolate(mel_MT: Tensor, position_T: Tensor) -> Tensor:
    low = position_T.floor().long().clamp(max=max(mel_MT.shape[1] - 2, 0))
    high = (low + 1).clamp(max=mel_MT.shape[1] - 1)
    return torch.lerp(mel_MT[:, low], mel_MT[:, high], (position_T - low).clamp(0, 1))
