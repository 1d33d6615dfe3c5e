"""Mix Transformer with the normalisation constants of the original SegFormer code."""

from mmseg.models.backbones import MixVisionTransformer
from mmseg.registry import MODELS
from torch import nn


@MODELS.register_module()
class ReferenceMixVisionTransformer(MixVisionTransformer):
    """mmseg's MiT whose patch-embedding and key-reduction LayerNorms use eps 1e-5.

    The original code (and AllSpark's release) builds these with torch's default, all others with 1e-6;
    mmseg uses 1e-6 everywhere. Weights are interchangeable, outputs differ from about the fifth digit.

    Args:
        **kwargs: Those of :class:`mmseg.models.backbones.MixVisionTransformer`.
    """

    def __init__(self, **kwargs) -> None:  # noqa: ANN003
        super().__init__(**kwargs)
        for patch_embed, blocks, _ in self.layers:
            norms = [patch_embed.norm, *(getattr(block.attn, "norm", None) for block in blocks)]
            for norm in norms:
                if isinstance(norm, nn.LayerNorm):
                    norm.eps = 1e-5
