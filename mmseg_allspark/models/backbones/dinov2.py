"""DINOv2's vision transformer for dense prediction. Importing this module registers it; it needs mmpretrain.

A config names it beside the plugin::

    custom_imports = dict(imports=["mmseg_allspark", "mmseg_allspark.models.backbones.dinov2"])
"""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.drop import DropPath
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_allspark.models.backbones import from_mmpretrain  # noqa: F401 (makes mmpretrain's backbones importable)
from mmseg_allspark.utils.checks import Between, PositiveInt, Share, check_types

# isort: split
from mmpretrain.models.backbones.vision_transformer import VisionTransformer

_NAMES = dict(small="dinov2-small", base="base", large="large")  # mmpretrain's 'small' is another network


@MODELS.register_module()
class DINOv2Backbone(VisionTransformer):
    """DINOv2 (arXiv 2304.07193) with four maps of patch tokens, as UniMatch V2's release uses it.

    The weights that mmpretrain offers for its own ``VisionTransformer`` fit. What is computed differs in three points:

    - Every map goes through the final norm; in mmpretrain's class only the last one does.
    - The position embedding is resized by the factor (g + 0.1) / g_0 on each axis, where g is the number of patches and
      g_0 that of ``img_size``, as in DINOv2's own code. mmpretrain resizes to the target size; the two agree at
      ``img_size`` only.
    - In eval mode images of any size are accepted. Each side is resized to the nearest multiple of ``patch_size`` (half
      a patch rounds up; at least one patch), bilinear with aligned corners. mmpretrain pads.

    Args:
        arch: ``'small'`` (384 channels), ``'base'`` (768) or ``'large'`` (1024), or mmpretrain's dict of
            ``embed_dims``, ``num_layers``, ``num_heads`` and ``feedforward_channels``. Default ``'base'``.
        img_size: Side in pixels of the square images for which the position embedding is stored. Default 518.
        patch_size: Side of a patch in pixels. Default 14.
        out_indices: Blocks whose output is given, counted from 0. Default None: the last of each quarter of
            the blocks, except that ``'large'`` takes the release's (4, 11, 17, 23).
        frozen: No parameter learns; see the release's ``lock_backbone``. Default False.
        drop_path_rate: Largest probability of stochastic depth. Default 0.
        layer_scale_init_value: Start of LayerScale where no weights are loaded; above 0, or there would be none.
            Default 1.
        init_cfg: mmengine's initialisation config, mostly ``dict(type='Pretrained', checkpoint=...)``. Default None.

    Raises:
        TypeError, ValueError: On an argument of a wrong type or value.
    """

    @check_types
    def __init__(
        self,
        arch: Literal["small", "base", "large"] | dict = "base",
        img_size: PositiveInt = 518,
        patch_size: PositiveInt = 14,
        out_indices: list[int] | None = None,
        frozen: bool = False,
        drop_path_rate: Share = 0.0,
        layer_scale_init_value: Annotated[float, Between(1e-12, 1e3)] = 1.0,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        settings = arch if isinstance(arch, dict) else self.arch_zoo[_NAMES[arch]]
        if missing := {"embed_dims", "num_layers", "num_heads", "feedforward_channels"} - settings.keys():
            raise ValueError(f"model.backbone.arch={arch} has no {', '.join(sorted(missing))}.")
        depth = settings["num_layers"]
        if out_indices is None:
            out_indices = (4, 11, 17, 23) if arch == "large" else [depth * part // 4 - 1 for part in (1, 2, 3, 4)]
        super().__init__(
            arch=settings,
            img_size=img_size,
            patch_size=patch_size,
            out_indices=list(out_indices),
            drop_path_rate=drop_path_rate,
            layer_scale_init_value=layer_scale_init_value,
            out_type="featmap",
            frozen_stages=depth if frozen else -1,
            init_cfg=init_cfg,
        )
        self.patch_size = patch_size
        for module in self.modules():
            if isinstance(module, DropPath):  # numpy's numbers would be tensors in an exported graph
                module.drop_prob = float(module.drop_prob)

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) -> maps (B, C, H / patch_size, W / patch_size), shallowest first.

        Raises:
            ValueError: In train mode, if a side is not a multiple of ``patch_size``.
        """
        tokens, grid = self.patch_embed(self.fit_to_patches(inputs))
        tokens = torch.cat([self.cls_token.expand(tokens.shape[0], -1, -1), tokens], dim=1) + self.positions(grid)
        maps = []
        for index, layer in enumerate(self.layers):
            tokens = layer(tokens)
            if index in self.out_indices:
                maps.append(self._format_output(self.ln1(tokens), grid))
        return tuple(maps)

    def fit_to_patches(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) at the nearest multiples of the patch size; in train mode another size is an error."""
        size, patch = tuple(images.shape[2:]), self.patch_size
        whole = tuple(max(1, (2 * side + patch) // (2 * patch)) * patch for side in size)
        if self.training and size != whole:
            raise ValueError(
                f"The training images are {size[0]}x{size[1]} (height x width), but DINOv2Backbone has patches of "
                f"patch_size={patch}: set crop_size to multiples of it, for example ({whole[0]}, {whole[1]})."
            )
        if self.training:
            return images
        return F.interpolate(images, size=whole, mode="bilinear", align_corners=True)

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """Position embedding (1, 1 + h * w, C) of class token and patches for a grid of (h, w) patches."""
        stored = tuple(self.patch_resolution)
        if not torch.compiler.is_compiling() and tuple(grid) == stored:  # an exported graph takes any size
            return self.pos_embed
        table = self.pos_embed[0, 1:].float().unflatten(0, stored)
        sides = [torch.scalar_tensor(side, device=table.device) for side in grid]
        is_stored = (sides[0] == stored[0]) & (sides[1] == stored[1])
        steps = [torch.where(is_stored, 1.0, old / (side + 0.1)) for old, side in zip(stored, sides, strict=True)]
        rows, columns = map(_cubic_weights, grid, stored, steps)
        with torch.autocast(device_type=table.device.type, enabled=False):
            resized = columns @ (rows @ table.flatten(1)).unflatten(1, table.shape[1:])
        return torch.cat([self.pos_embed[:, :1], resized.flatten(0, 1)[None].to(self.pos_embed.dtype)], dim=1)


def _cubic_weights(new: int, old: int, step: Tensor) -> Tensor:
    """Matrix (new, old) that resamples ``old`` values bicubically at ``new`` points ``step`` apart, as torch does.

    ``F.interpolate`` would freeze the size in an exported graph, as it takes the factor as a number.
    """
    points = (torch.arange(new, device=step.device) + 0.5) * step - 0.5
    taps = points.floor()[:, None] + torch.arange(-1, 3, device=step.device)  # the borders are repeated
    distance = (points[:, None] - taps).abs()
    near = (1.25 * distance - 2.25) * distance**2 + 1
    far = ((3.75 - 0.75 * distance) * distance - 6) * distance + 3
    weights = torch.where(distance <= 1, near, far)
    is_source = taps.clamp(0, old - 1)[:, :, None] == torch.arange(old, device=step.device)
    return (weights[:, :, None] * is_source).sum(dim=1)
