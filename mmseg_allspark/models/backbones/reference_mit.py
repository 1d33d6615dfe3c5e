"""Mix Transformer with the normalisation constants of the original SegFormer code."""

from mmseg.models.backbones import MixVisionTransformer
from mmseg.registry import MODELS
from torch import nn


@MODELS.register_module()
class ReferenceMixVisionTransformer(MixVisionTransformer):
    """mmseg's MiT whose patch-embedding and key-reduction LayerNorms use eps 1e-5.

    The original code (and AllSpark's release) builds these with torch's default, all others with 1e-6;
    mmseg uses 1e-6 everywhere. Weights are interchangeable, outputs differ from about the fifth digit.

    Its attention does not ask torch for the maps, which mmseg's averages over the heads and throws away: fused
    kernels do the same without ever forming them.

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
            for block in blocks:
                block.attn.attn.register_forward_pre_hook(_without_maps, with_kwargs=True)


def _without_maps(attention: nn.MultiheadAttention, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """Forward pre-hook: attention weights are not returned."""
    return args, kwargs | dict(need_weights=False)
