"""The DPT head of Depth Anything and UniMatch V2: no class token, and no normalisation layer."""

from collections.abc import Sequence

import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.utils.checks import PositiveInt, Share, check_types


@MODELS.register_module()
class PlainDPTHead(BaseDecodeHead):
    """Fuses four maps of a vision transformer from deep to shallow (DPT, arXiv 2103.13413, section 3).

    The maps, all of one resolution g, are brought to 4g, 2g, g and g / 2, and are added one after the other with
    residual units in between. mmseg's :class:`DPTHead` has readout tokens, other widths and batch norm, so that its
    weights do not fit. All weights start with torch's own initialisation. With DINOv2 the widths of UniMatch V2 are:

    ====== ======== ========================
    size   channels level_channels
    ====== ======== ========================
    small  64       (48, 96, 192, 384)
    base   128      (96, 192, 384, 768)
    large  256      (256, 512, 1024, 1024)
    ====== ======== ========================

    Args:
        in_channels: Channels of the four maps.
        channels: Channels in which they are fused.
        level_channels: Channels to which each map is projected before it is resampled.
        in_index: Positions of the maps, shallowest first. Default (0, 1, 2, 3).
        dropout_ratio: Dropout before the classifier. Default 0, none.
        align_corners: Of every upsampling, that of the logits included. Default True.
        init_cfg: Default None.
        **kwargs: Those of :class:`mmseg.models.decode_heads.BaseDecodeHead`.

    Raises:
        TypeError, ValueError: On an argument of a wrong type or value, on other than four levels, and on
            ``conv_cfg``, ``norm_cfg``, ``act_cfg`` or ``input_transform``: the head has no other form.
    """

    @check_types
    def __init__(
        self,
        in_channels: list[PositiveInt],
        channels: PositiveInt,
        level_channels: list[PositiveInt],
        *,
        in_index: list[int] = (0, 1, 2, 3),
        dropout_ratio: Share = 0,
        align_corners: bool = True,
        init_cfg: dict | list[dict] | None = None,
        **kwargs,  # noqa: ANN003
    ) -> None:
        for name in ("conv_cfg", "norm_cfg", "act_cfg", "input_transform"):
            if name in kwargs:
                raise TypeError(f"model.decode_head.{name} means nothing to PlainDPTHead; leave it out.")
        for name, values in dict(in_channels=in_channels, level_channels=level_channels, in_index=in_index).items():
            if len(values) != 4:
                raise ValueError(f"model.decode_head.{name}={values} has {len(values)} entries, PlainDPTHead takes 4.")
        super().__init__(
            list(in_channels),
            channels,
            in_index=list(in_index),
            input_transform="multiple_select",
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            init_cfg=init_cfg,
            **kwargs,
        )
        first, second, _, last = level_channels
        self.projects = nn.ModuleList(map(lambda wide, width: nn.Conv2d(wide, width, 1), in_channels, level_channels))
        self.resamples = nn.ModuleList(
            [
                nn.ConvTranspose2d(first, first, 4, stride=4),
                nn.ConvTranspose2d(second, second, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(last, last, 3, stride=2, padding=1),
            ]
        )
        self.narrow = nn.ModuleList(nn.Conv2d(width, channels, 3, padding=1, bias=False) for width in level_channels)
        # the deepest level starts the path: it has nothing to be added to
        self.fusions = nn.ModuleList(_Fusion(channels, adds_skip=index < 3) for index in range(4))
        self.last = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Decode.

        Args:
            inputs: Backbone maps (B, C_i, h, w), shallowest first.

        Returns:
            Logits (B, K, 8h, 8w).

        Raises:
            ValueError: If the maps are too few or differ in size.
        """
        if len(inputs) <= max(self.in_index):
            raise ValueError(
                f"The backbone gives {len(inputs)} maps, but model.decode_head.in_index={self.in_index}: set "
                "model.backbone.out_indices to four different blocks."
            )
        levels = self._transform_inputs(inputs)
        sizes = [tuple(level.shape[2:]) for level in levels]
        if any(size != sizes[0] for size in sizes):
            raise ValueError(
                f"The backbone's maps have the sizes {sizes}, but PlainDPTHead needs four of one size, as a "
                "plain vision transformer gives: use SegformerMLPHead or UPerHead for this backbone."
            )
        stages = zip(levels, self.projects, self.resamples, self.narrow, strict=True)
        levels = [narrow(resample(project(level))) for level, project, resample, narrow in stages]
        height, width = levels[0].shape[2:]
        sizes = [(2 * height, 2 * width), *(level.shape[2:] for level in levels[:3])]
        path = self._fuse(levels[3], 3, sizes[3])
        for index in (2, 1, 0):
            path = self._fuse(path, index, sizes[index], levels[index])
        return self.cls_seg(self.last(path))

    def _fuse(self, path: Tensor, index: int, size: Sequence[int], skip: Tensor | None = None) -> Tensor:
        """Fuse one level and bring the path to the next one's size."""
        fused = self.fusions[index](path, skip)
        return resize(fused, size=tuple(size), mode="bilinear", align_corners=self.align_corners, warning=False)


class _ResidualUnit(nn.Module):
    """Two 3x3 convolutions, each after a ReLU, added to what goes in: (B, C, h, w) -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + self.conv2(F.relu(self.conv1(F.relu(hidden))))


class _Fusion(nn.Module):
    """Adds a level to the path and mixes: (B, C, h, w) -> the same shape."""

    def __init__(self, channels: int, adds_skip: bool) -> None:
        super().__init__()
        self.skip_unit = _ResidualUnit(channels) if adds_skip else None
        self.unit = _ResidualUnit(channels)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, path: Tensor, skip: Tensor | None = None) -> Tensor:
        if skip is not None:
            path = path + self.skip_unit(skip)
        # the release upsamples before this convolution; the two commute, and there are fewer pixels before
        return self.out(self.unit(path))
