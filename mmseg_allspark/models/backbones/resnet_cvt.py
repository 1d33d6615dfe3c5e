"""A ResNet with a transformer beside it; the two change each other's spectra (SemiCVT, CVPR 2023)."""

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_norm_layer
from mmcv.cnn.bricks.drop import DropPath
from mmengine.model import BaseModule
from mmseg.models.backbones import ResNetV1c
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.utils.checks import PositiveInt, Share, check_types


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of maps (B, C, h, w)."""

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise each position."""
        return super().forward(maps.movedim(1, -1)).movedim(-1, 1)


class SpectralInteraction(nn.Module):
    """Two maps of one size change each other's frequencies (Local-Global Interaction).

    Each map is reduced to ``width`` channels, normalised and transformed over space (orthonormal FFT). A gate in (0, 1)
    for each frequency, from the real part of the *other* map, raises it: X <- (1 + gate) * X. After the way back follow
    norm and MLP; the reduced map and then the map itself are added.

    Args:
        channels: Of the two maps.
        width: Channels D in between.
        drop_path: Share of the images that take none of the change. Default 0.25.
        norm_cfg: Norm inside the gates. Default ``dict(type='SyncBN')``.
    """

    @check_types
    def __init__(
        self,
        channels: tuple[PositiveInt, PositiveInt],
        width: PositiveInt,
        drop_path: Share = 0.25,
        norm_cfg: dict = dict(type="SyncBN"),  # noqa: B006 (never changed)
    ) -> None:
        super().__init__()
        self.down = nn.ModuleList(nn.Conv2d(number, width, 1) for number in channels)
        self.before = nn.ModuleList(ChannelNorm(width) for _ in channels)
        self.gates = nn.ModuleList(_build_gate(width, norm_cfg) for _ in channels)
        self.after = nn.ModuleList(ChannelNorm(width) for _ in channels)
        self.mlps = nn.ModuleList(_build_mlp(width) for _ in channels)
        self.up = nn.ModuleList(nn.Conv2d(width, number, 1) for number in channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Change two maps (B, C_i, h, w), each by the other."""
        maps = first, second
        reduced = [down(one) for down, one in zip(self.down, maps, strict=True)]
        with torch.autocast(device_type=first.device.type, enabled=False):  # half precision has powers of two only
            normed = [norm(one.float()) for norm, one in zip(self.before, reduced, strict=True)]
            spectra = [torch.fft.rfft2(one, norm="ortho") for one in normed]
            gates = [gate(one.real).sigmoid() for gate, one in zip(self.gates, spectra, strict=True)]
            spectra = [(1.0 + gate) * one for gate, one in zip(gates[::-1], spectra, strict=True)]
            mixed = [torch.fft.irfft2(one, s=first.shape[2:], norm="ortho") for one in spectra]
        changed = []
        for index, one in enumerate(mixed):
            change = self.drop_path(self.mlps[index](self.after[index](one)))
            changed.append(maps[index] + self.up[index](reduced[index] + change))
        return changed[0], changed[1]


class PooledAttention(nn.Module):
    """Attention of every position to non-overlapping patches of positions, as in the pyramid vision transformer.

    Args:
        channels: Of the map.
        num_heads: Heads of the attention.
        key_stride: Height and width of a patch. A map that is smaller is padded to one patch.
    """

    def __init__(self, channels: int, num_heads: int, key_stride: int) -> None:
        super().__init__()
        self.num_heads, self.key_stride = num_heads, key_stride
        self.pool = nn.Conv2d(channels, channels, key_stride, stride=key_stride)
        self.norm = ChannelNorm(channels)
        self.query, self.key_value = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, 2 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        missing = [max(0, self.key_stride - side) for side in maps.shape[2:]]
        pooled = self.norm(self.pool(F.pad(maps, (0, missing[1], 0, missing[0]))))
        query = self._heads(self.query(maps))
        key, value = (self._heads(part) for part in self.key_value(pooled).chunk(2, dim=1))
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.out(attended.transpose(2, 3).reshape(maps.shape))

    def _heads(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, heads, h * w, C / heads)."""
        return maps.flatten(2).unflatten(1, (self.num_heads, -1)).transpose(2, 3)


class TransformerStage(nn.Module):
    """One transformer block beside a stage of the ResNet, with its interaction.

    Args:
        in_channels: Of the transformer's map before.
        channels: Of the ResNet's map.
        stride: That of the ResNet's stage.
        width: Channels of the block.
        num_heads: Of its attention.
        key_stride: As in :class:`PooledAttention`.
        drop_path: As in :class:`SpectralInteraction`.
        norm_cfg: Norm of the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        *,
        width: int,
        num_heads: int,
        key_stride: int,
        drop_path: float,
        norm_cfg: dict,
    ) -> None:
        super().__init__()
        self.embed = nn.Sequential(
            ConvModule(in_channels, channels, 1, stride=stride, norm_cfg=norm_cfg),
            ConvModule(channels, width, 1, norm_cfg=norm_cfg),
        )
        self.norms = nn.ModuleList(ChannelNorm(width, eps=1e-6) for _ in range(2))
        self.attention, self.mlp = PooledAttention(width, num_heads, key_stride), _build_mlp(width)
        self.interaction = SpectralInteraction((channels, width), max(1, width // 4), drop_path, norm_cfg)
        self.expand = ConvModule(width, channels, 1, norm_cfg=norm_cfg)

    def forward(self, cnn: Tensor, transformer: Tensor) -> tuple[Tensor, Tensor]:
        """ResNet's map (B, C, h, w) of this stage and the transformer's one before -> both maps, each (B, C, h, w)."""
        tokens = self.embed(transformer)
        tokens = tokens + self.attention(self.norms[0](tokens))
        tokens = tokens + self.mlp(self.norms[1](tokens))
        cnn, tokens = self.interaction(cnn, tokens)
        return cnn, self.expand(tokens) + cnn


@MODELS.register_module()
class ResNetCVT(ResNetV1c):
    """ResNet with a transformer block beside each of its last three stages (SemiCVT, section 3.2).

    After a stage the two streams exchange information (:class:`SpectralInteraction`), and the ResNet goes on with what
    it got. The blocks have the strides of the ResNet's stages. Pretrained weights are those of the ResNet; the rest
    starts from random weights.

    Args:
        width: Channels of the transformer blocks. Default 256.
        num_heads: Heads of their attention. Default 8.
        key_stride: Side of the patches that the positions attend to. Default 4; with a stride of 32 take 1.
        drop_path: Share of the images that an interaction leaves out in training. Default 0.25.
        **kwargs: Those of mmseg's ``ResNetV1c``, with 4 stages.

    Raises:
        ValueError: If ``width`` is no multiple of ``num_heads``, or there are not 4 stages.
    """

    @check_types
    def __init__(
        self,
        *,
        width: PositiveInt = 256,
        num_heads: PositiveInt = 8,
        key_stride: PositiveInt = 4,
        drop_path: Share = 0.25,
        **kwargs,  # noqa: ANN003
    ) -> None:
        super().__init__(**kwargs)
        if width % num_heads:
            raise ValueError(
                f"model.backbone.width={width} is no multiple of num_heads={num_heads}; change one of them."
            )
        if self.num_stages != 4:
            raise ValueError(f"model.backbone.num_stages={self.num_stages}: ResNetCVT has 4; leave it out.")
        channels = [self.base_channels * 2**stage * self.block.expansion for stage in range(4)]
        options = dict(
            width=width, num_heads=num_heads, key_stride=key_stride, drop_path=drop_path, norm_cfg=self.norm_cfg
        )
        self.transformer = _Stages(
            TransformerStage(before, own, stride, **options)
            for before, own, stride in zip(channels[:-1], channels[1:], self.strides[1:], strict=True)
        )

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Maps of images (B, 3, H, W).

        Returns:
            The ResNet's maps (B, C_i, H_i, W_i) of ``out_indices``, shallowest first, and the transformer's deepest one
            last, of the size of the ResNet's.
        """
        outs, transformer = [], None
        cnn = self.maxpool(self.stem(inputs))
        for index, name in enumerate(self.res_layers):
            cnn = getattr(self, name)(cnn)
            if index == 0:
                transformer = cnn
            else:
                cnn, transformer = self.transformer[index - 1](cnn, transformer)
            if index in self.out_indices:
                outs.append(cnn)
        return (*outs, transformer)


class _Stages(BaseModule, nn.ModuleList):
    """The transformer's stages, which keep torch's initialisation: the ResNet's is for its own convolutions."""

    def __init__(self, stages) -> None:  # noqa: ANN001 (an iterable of modules)
        BaseModule.__init__(self)
        nn.ModuleList.__init__(self, stages)

    def init_weights(self) -> None:
        """Leave everything as it is."""


def _build_gate(width: int, norm_cfg: dict) -> nn.Sequential:
    hidden = max(1, width // 8)
    norm = build_norm_layer(norm_cfg, hidden)[1]
    return nn.Sequential(nn.Conv2d(width, hidden, 1, bias=False), norm, nn.GELU(), nn.Conv2d(hidden, 1, 1))


def _build_mlp(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, 4 * width, 1), nn.GELU(), nn.Conv2d(4 * width, width, 1))
