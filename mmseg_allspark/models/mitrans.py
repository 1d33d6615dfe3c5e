"""MITrans: GuidedMix-Net's non-local block for features of a mixture of two images."""

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, NonLocal2d
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.utils.checks import check_positive_int, check_types


@MODELS.register_module()
class MITrans(BaseModule):
    """Convolution, non-local block, convolutions, and a last one over input and result.

    The module of GuidedMix-Net's release, which none of its configs uses. There is no norm; the non-local block
    begins as the identity.

    Args:
        in_channels: Channels C of the input.
        channels: Channels c of the output. Default None: C, as released (249 M parameters at C = 2560). With another
            number a 1x1 convolution reduces C to c first (10 M at 512).
        num_convs: Convolutions beside the last one, at least 2. Default 2.
        concat_input: Whether the last convolution is there. Default True.
        reduction: The non-local block is c / reduction wide. Default 2.
    """

    training_only = True  # the mixed branch does not exist at test time

    @check_types
    def __init__(
        self,
        in_channels: int,
        channels: int | None = None,
        num_convs: int = 2,
        concat_input: bool = True,
        reduction: int = 2,
    ) -> None:
        super().__init__()
        self.out_channels = width = in_channels if channels is None else channels
        for name, value in (("in_channels", in_channels), ("channels", width), ("reduction", reduction)):
            check_positive_int(f"mitrans.{name}", value)
        check_positive_int("mitrans.num_convs", num_convs)
        if num_convs < 2:
            raise ValueError(
                f"mitrans.num_convs={num_convs}: one stands before the non-local block, the others behind it."
            )
        if reduction > width:
            raise ValueError(f"mitrans.reduction={reduction} leaves nothing of channels={width}; choose a smaller one.")
        project = width != in_channels
        self.project = ConvModule(in_channels, width, 1) if project else nn.Identity()
        convs = [ConvModule(width, width, 3, padding=1) for _ in range(num_convs)]
        self.before, self.after = convs[0], nn.Sequential(*convs[1:])
        self.non_local = FusedNonLocal2d(width, reduction=reduction, use_scale=True, mode="embedded_gaussian")
        self.last = ConvModule(2 * width, width, 3, padding=1) if concat_input else None

    def forward(self, inputs: Tensor) -> Tensor:
        """Transform (B, C, h, w) to (B, c, h, w)."""
        inputs = self.project(inputs)
        hidden = self.after(self.non_local(self.before(inputs)))
        return hidden if self.last is None else self.last(torch.cat([inputs, hidden], dim=1))


class FusedNonLocal2d(NonLocal2d):
    """mmcv's non-local block of mode ``embedded_gaussian`` with scale, by torch's fused attention.

    The same weights and results; the map of (h w)^2 numbers an image, 17 million at crop 512 and stride 8, is not kept.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x (B, C, h, w) and what each position gathers from all others."""
        # one head, contiguous: torch falls back to keeping the map for other forms
        query, key, value = (
            part(x).flatten(2).transpose(1, 2)[:, None].contiguous() for part in (self.theta, self.phi, self.g)
        )
        gathered = F.scaled_dot_product_attention(query, key, value)[:, 0]
        return x + self.conv_out(gathered.transpose(1, 2).unflatten(2, x.shape[2:]))
