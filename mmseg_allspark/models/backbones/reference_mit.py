"""Mix Transformer with the normalisation constants of the original SegFormer code."""

from mmseg.models.backbones import MixVisionTransformer
from mmseg.registry import MODELS
from torch import nn


@MODELS.register_module()
class ReferenceMixVisionTransformer(MixVisionTransformer):
    """mmseg's MiT with two details of the original code: eps 1e-5 in some LayerNorms, and the start.

    The original code (and AllSpark's release) builds the LayerNorms of patch embedding and key reduction with torch's
    default, all others with 1e-6; mmseg uses 1e-6 everywhere. Weights are interchangeable, outputs differ from about
    the fifth digit. Without ``init_cfg`` all linear maps start from a normal distribution of deviation 0.02; mmseg
    starts those that it has as 1x1 convolutions or inside torch's attention otherwise.

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

    def init_weights(self) -> None:
        """Load ``init_cfg``'s weights, or start as the original code."""
        super().init_weights()
        if self.init_cfg is None:
            for _, blocks, _ in self.layers:
                for block in blocks:
                    fc1, fc2 = block.ffn.layers[0], block.ffn.layers[4]
                    for weight in (block.attn.attn.in_proj_weight, fc1.weight, fc2.weight):
                        nn.init.trunc_normal_(weight, std=0.02)


def _without_maps(attention: nn.MultiheadAttention, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """Forward pre-hook: attention weights are not returned."""
    return args, kwargs | dict(need_weights=False)
