"""The layers that the phone encoder and the vocoder are built of."""

from __future__ import annotations

from torch import Tensor, nn


class ConvNorm(nn.Module):
    """Convolution over time, batch norm, GELU: ``[batch, inputs, time]`` to ``[batch, outputs, time']``.

    In evaluation mode batch norm is a constant scale per channel: no output depends on the rest of a batch.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1):
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, padding, dilation, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, hidden_BCT: Tensor) -> Tensor:
        return nn.functional.gelu(self.norm(self.conv(hidden_BCT)))


class ResidualConvs(nn.Module):
    """Convolutions that each add to their input, ``[batch, width, time]`` to the same shape.

    Args:
        width: channels.
        kernel: odd; the padding keeps the length.
        dilations: one layer each.

    Attributes:
        reach: places to either side that decide one of them.
    """

    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...]):
        super().__init__()
        self.layers = nn.ModuleList(
            ConvNorm(width, width, kernel=kernel, padding=kernel // 2 * dilation, dilation=dilation)
            for dilation in dilations
        )
        self.reach = kernel // 2 * sum(dilations)

    def forward(self, hidden_BCT: Tensor, mask_BT: Tensor | None = None) -> Tensor:
        """``mask_BT`` is true where there is something; padding stays zero, as beyond the end of a file."""
        for layer in self.layers:
            hidden_BCT = hidden_BCT + layer(hidden_BCT)
            if mask_BT is not None:
                hidden_BCT = hidden_BCT * mask_BT[:, None]
        return hidden_BCT
