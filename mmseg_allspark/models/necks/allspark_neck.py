"""AllSparkNeck: labeled features reborn from unlabeled ones (CVPR 2024, sections 3.2 to 3.4)."""

from collections.abc import Sequence
from typing import Literal

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.models.channel_attention import ChannelCrossAttention, ChannelSelfAttention
from mmseg_allspark.models.semantic_memory import GROUPING_MAPS, SIMILARITIES, SemanticMemory, group_channels
from mmseg_allspark.utils.checks import PositiveInt, as_size, check_choice, check_types

INFERENCE_KEYS = ("image", "batch")


@MODELS.register_module()
class AllSparkNeck(BaseModule):
    """Channel-wise cross-attention from labeled features to a semantic memory of unlabeled ones.

    Changes one level of the backbone's maps and passes the others through. Without ``num_labeled`` it is in
    inference form: each image attends to itself, the memory and the unlabeled branch are not touched.

    Args:
        in_channels: Channels C of the level it changes.
        num_classes: Classes K of the data set, background included.
        num_heads: Heads h. Default 2.
        memory_size: (H, W), or one integer for a square: feature size at the training crop, see
            :func:`feature_size`. May be None only without a memory.
        in_index: Which backbone level is changed. Default -1, the deepest.
        attn_drop: Dropout of the attention weights. Default 0.1.
        proj_drop: Dropout after each branch. Default 0.1.
        memory: Whether labeled images read the semantic memory. False: they attend to the unlabeled images
            of the step ("channel cross-attention" of table 5). Default True.
        grouping: Whether channels enter the memory by class (CSG). False: blindly. Default True.
        similarity: ``'cosine'`` (release) or ``'instance_norm'`` (paper). Default ``'cosine'``.
        grouping_map: ``'logits'`` (release) or ``'softmax'`` (paper). Default ``'logits'``.
        inference_keys: ``'image'``: an image attends to itself; ``'batch'``: to all images of the batch side
            by side, as the release does. Equal at batch 1. Default ``'image'``.
        sync: How the memories of several ranks combine, see :class:`SemanticMemory`. Default ``'rank0'``.
        implementation: ``'exact'``, or ``'plain'`` as the release computes, for study; the same numbers. Default
            ``'exact'``.
        init_cfg: mmengine's initialisation config. Default None, the release's start: Xavier-uniform projections of the
            attention, torch's own initialisation elsewhere.

    Raises:
        TypeError, ValueError: On an argument of a wrong type or value.
    """

    takes_step = True  # a SemiSegmentor gives it pseudo labels and options of the step

    @check_types
    def __init__(
        self,
        in_channels: PositiveInt,
        num_classes: PositiveInt,
        num_heads: int = 2,
        memory_size: int | tuple[int, int] | None = None,
        in_index: int = -1,
        attn_drop: float = 0.1,
        proj_drop: float = 0.1,
        memory: bool = True,
        grouping: bool = True,
        similarity: Literal[SIMILARITIES] = "cosine",
        grouping_map: Literal[GROUPING_MAPS] = "logits",
        inference_keys: Literal[INFERENCE_KEYS] = "image",
        sync: str = "rank0",
        implementation: str = "exact",
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if memory and memory_size is None:
            raise ValueError(
                "AllSparkNeck.memory_size is missing: give the (height, width) of the features at the "
                "training crop (crop / 32, rounded up, for MiT), or memory=False."
            )
        self.in_channels, self.num_classes, self.in_index = in_channels, num_classes, in_index
        self.grouping, self.similarity, self.grouping_map = grouping, similarity, grouping_map
        self.inference_keys = inference_keys

        attention = dict(num_heads=num_heads, attn_drop=attn_drop, proj_drop=proj_drop, implementation=implementation)
        self.map_in = nn.Sequential(nn.Conv2d(in_channels, in_channels, 1), nn.GELU())
        self.token_norm = nn.LayerNorm(in_channels, eps=1e-6)
        self.labeled_attention = ChannelCrossAttention(in_channels, **attention)
        self.unlabeled_attention = ChannelSelfAttention(in_channels, **attention)
        self.out_norm = nn.LayerNorm(in_channels, eps=1e-6)
        self.map_out = nn.Sequential(nn.Conv2d(in_channels, in_channels, 1), nn.GELU())
        # As many rows per class as there are channels: the same projections serve memory rows and tokens.
        self.memory = (
            SemanticMemory(num_classes, in_channels, as_size("AllSparkNeck.memory_size", memory_size), sync)
            if memory
            else None
        )

    def forward(
        self,
        feats: Sequence[Tensor],
        *,
        num_labeled: int | None = None,
        pseudo_logits: Tensor | None = None,
        use_memory: bool = True,
        inference_keys: str | None = None,
    ) -> tuple[Tensor, ...]:
        """Change the level ``in_index`` of ``feats``.

        Args:
            feats: Backbone maps; the level changed is (B_l + B_u, C, H, W), labeled images first.
            num_labeled: B_l; the rest, at least 1, is unlabeled. 0: a further pass of unlabeled images, which leaves
                the memory alone. None: inference form.
            pseudo_logits: (B_u, K, H', W') logits of the unlabeled images, any resolution. Needed when
                ``num_labeled`` is given and the neck has a memory with grouping.
            use_memory: False during warm-up: the memory is written but labeled images attend to the
                unlabeled images of the step. Default True.
            inference_keys: Overrides the configured option for this call (inference form only).

        Returns:
            The maps with the level replaced by one of equal shape.

        Raises:
            ValueError: On wrong channels, a feature size that does not fit the memory, a split that leaves
                no unlabeled image, or missing or mismatched ``pseudo_logits``.
        """
        feats = list(feats)
        level = self._find_level(feats)
        residual = self.map_in(level).flatten(2).transpose(1, 2)  # (B, N, C)
        tokens = self.token_norm(residual)
        if num_labeled is None:
            keys = inference_keys or self.inference_keys
            check_choice("inference_keys", keys, INFERENCE_KEYS)
            reborn = self.labeled_attention(tokens, tokens, shared=keys == "batch")
        elif num_labeled == 0:
            reborn = self.unlabeled_attention(tokens)
        else:
            self._check_training(level, num_labeled, pseudo_logits)
            labeled, unlabeled = tokens[:num_labeled], tokens[num_labeled:]
            sources = self._sources(unlabeled, pseudo_logits, use_memory)
            reborn = torch.cat(
                [self.labeled_attention(labeled, sources, shared=True), self.unlabeled_attention(unlabeled)]
            )
        out = self.out_norm(reborn + residual).transpose(1, 2).unflatten(2, level.shape[2:])
        feats[self.in_index] = self.map_out(out)
        return tuple(feats)

    def _sources(self, unlabeled: Tensor, pseudo_logits: Tensor | None, use_memory: bool) -> Tensor:
        """Write the memory with (B_u, N, C) tokens and return the (S, N, C) maps labeled images attend to."""
        if self.memory is None:
            return unlabeled
        classes = None
        if self.grouping:
            classes = group_channels(
                unlabeled.detach(),
                pseudo_logits,
                size=self.memory.size,
                similarity=self.similarity,
                grouping_map=self.grouping_map,
            )
        self.memory.write(unlabeled.detach(), classes)
        if not use_memory:
            return unlabeled
        return self.memory.read().to(unlabeled.dtype)

    def _find_level(self, feats: list[Tensor]) -> Tensor:
        """The level to change; raise unless it is there and has the channels of the config."""
        if not -len(feats) <= self.in_index < len(feats):
            raise ValueError(
                f"AllSparkNeck.in_index={self.in_index}, but the backbone gives {len(feats)} levels: choose one in "
                f"[{-len(feats)}, {len(feats) - 1}]; -1 is the deepest."
            )
        level = feats[self.in_index]
        if level.shape[1] != self.in_channels:
            raise ValueError(
                f"AllSparkNeck.in_channels={self.in_channels}, but backbone level {self.in_index} has "
                f"{level.shape[1]} channels; set in_channels (or in_index) accordingly."
            )
        return level

    def _check_training(self, level: Tensor, num_labeled: int, pseudo_logits: Tensor | None) -> None:
        """Raise on a batch that cannot be split, a size the memory cannot hold or wrong pseudo logits."""
        total, size = level.shape[0], tuple(level.shape[2:])
        if not 1 <= num_labeled < total:
            raise ValueError(
                f"num_labeled={num_labeled} of {total} images: AllSpark needs at least one labeled and one "
                "unlabeled image per step."
            )
        if self.memory is None:
            return
        if size != self.memory.size:
            raise ValueError(
                f"The features are {size[0]}x{size[1]}, but AllSparkNeck.memory_size is "
                f"{self.memory.size[0]}x{self.memory.size[1]}: the memory's size follows from the training "
                f"crop. Set neck.memory_size={size} for this crop."
            )
        if not self.grouping:
            return
        expected = (total - num_labeled, self.num_classes)
        if pseudo_logits is None or tuple(pseudo_logits.shape[:2]) != expected:
            got = None if pseudo_logits is None else tuple(pseudo_logits.shape)
            raise ValueError(
                f"pseudo_logits must be (unlabeled images, num_classes, H', W') = {expected} + size, got {got}; "
                "AllSparkNeck.num_classes must equal the decode head's."
            )
