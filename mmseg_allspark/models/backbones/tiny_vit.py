"""TinyViT for dense prediction. Importing this module registers it; it needs mmpretrain.

A config names it beside the plugin::

    custom_imports = dict(imports=["mmseg_allspark", "mmseg_allspark.models.backbones.tiny_vit"])
"""

from typing import Literal

from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.models.backbones import from_mmpretrain  # noqa: F401 (makes mmpretrain's backbones importable)
from mmseg_allspark.utils.checks import check_types

# isort: split
from mmpretrain.models.backbones.tinyvit import TinyViT


@MODELS.register_module()
class DenseTinyViT(TinyViT):
    """mmpretrain's TinyViT (arXiv 2207.10666) with four levels and for images of any size.

    mmpretrain's class gives one level after the merging of its stage, and fixes the resolution of every block when it
    is built. Here a level is taken before the merging, with a LayerNorm of its own. The weights have the same names
    (``tools/convert_mobilesam.py`` makes them from a MobileSAM checkpoint); only the four norms are new.

    Args:
        arch: ``'5m'``, ``'11m'`` or ``'21m'``. Default ``'5m'``: 64, 128, 160, 320 channels.
        last_stride: Of the deepest level. 32 as in the classification model, 16 as in MobileSAM's. Default 32; the
            others have strides 4, 8 and 16.
        window_size: Of the attention in each stage. Default (7, 7, 14, 7), which MobileSAM has too.
        drop_path_rate: Largest probability of stochastic depth. Default 0.1.
        frozen_stages: The first of the four stages that do not learn, the stem with them; their norms of batches stay
            in eval mode. Default 0.
        init_cfg: mmengine's initialisation config, mostly ``dict(type='Pretrained', checkpoint=...)``. Default None.

    Raises:
        ValueError: If ``last_stride`` is another number.
    """

    @check_types
    def __init__(
        self,
        arch: str = "5m",
        last_stride: Literal[16, 32] = 32,
        window_size: list[int] = (7, 7, 14, 7),
        drop_path_rate: float = 0.1,
        frozen_stages: int = 0,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            arch=arch,
            window_size=list(window_size),
            drop_path_rate=drop_path_rate,
            frozen_stages=frozen_stages,
            out_indices=[],
            init_cfg=init_cfg,
        )
        if last_stride == 16:
            self.stages[2].downsample.conv2.conv2d.stride = (1, 1)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for channels in self.channels)

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) -> four levels (B, C_i, H_i, W_i), shallowest first."""
        hidden = self.patch_embed(inputs)
        size, levels = hidden.shape[2:], []
        for index, (stage, norm) in enumerate(zip(self.stages, self.norms, strict=True)):
            for block in stage.blocks:
                block.img_size = size
                hidden = block(hidden)
            tokens = hidden.flatten(2).transpose(1, 2) if index == 0 else hidden  # the first stage is convolutional
            levels.append(norm(tokens).transpose(1, 2).unflatten(2, size))
            if stage.downsample is not None:
                stage.downsample.img_size = size
                hidden = stage.downsample(hidden)
                stride = stage.downsample.conv2.conv2d.stride[0]
                size = tuple(-(-side // stride) for side in size)
        return tuple(levels)

    def _freeze_stages(self) -> None:
        """Freeze the first stages, called by mmpretrain's ``train``."""
        super()._freeze_stages()
        if self.frozen_stages > 0:
            self.patch_embed.eval().requires_grad_(False)
