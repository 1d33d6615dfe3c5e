"""Puts a model into the form in which the release computes, for comparison: same weights, same numbers, more work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_allspark.methods import SemiSegmentor
from mmseg_allspark.models import AllSparkNeck, SegformerMLPHead, SemanticMemory

PARTS = ("neck", "head", "backbone")


@contextmanager
def as_released(model: SemiSegmentor, parts: tuple[str, ...] = PARTS) -> Iterator[None]:
    """Compute as the release does while the context lasts.

    Args:
        model: A ``SemiSegmentor`` with :class:`AllSparkNeck`, :class:`SegformerMLPHead` and a MiT.
        parts: ``'neck'``: whole affinity maps, keys repeated for every image, enqueueing in a loop, a doubled batch
            with both branches in evaluation. ``'head'``: a layer per level, concatenation at full size, then the
            fusing convolution. ``'backbone'``: attention maps formed.
    """
    with ExitStack() as stack:
        for module in model.modules():
            if "neck" in parts and hasattr(module, "implementation"):
                stack.enter_context(patch.object(module, "implementation", "plain"))
            if "neck" in parts and isinstance(module, AllSparkNeck):
                stack.enter_context(patch.object(module, "forward", _doubled_in_evaluation(module)))
            if "neck" in parts and isinstance(module, SemanticMemory):
                stack.enter_context(patch.object(module, "_enqueue", lambda r, c, m=module: enqueue_in_a_loop(m, r, c)))
            if "head" in parts and isinstance(module, SegformerMLPHead):
                stack.enter_context(patch.object(module, "forward", _concatenating(module)))
            if "backbone" in parts and isinstance(module, nn.MultiheadAttention):
                stack.enter_context(patch.object(module, "_forward_pre_hooks", {}))
                forming = partial(module.forward, average_attn_weights=False)
                stack.enter_context(patch.object(module, "forward", forming))
        yield


def enqueue_in_a_loop(memory: SemanticMemory, rows: Tensor, classes: Tensor) -> None:
    """Enqueue rows (R, N) of classes (R,) image by image and class by class, asking the host for every number."""
    for image, kinds in zip(rows.split(memory.num_slots), classes.split(memory.num_slots), strict=True):
        for kind in torch.unique(kinds).cpu().tolist():
            new = image[torch.nonzero(kinds == kind).squeeze(1)]
            first = int(memory.pointer[kind])
            fits = memory.num_slots - first
            memory.queue[kind, first : first + len(new)] = new[:fits]
            if len(new) > fits:
                memory.queue[kind, : len(new) - fits] = new[fits:]
            memory.pointer[kind] = (first + len(new)) % memory.num_slots
    memory.enqueued.add_(torch.bincount(classes, minlength=memory.num_classes))


def _doubled_in_evaluation(neck: AllSparkNeck):  # noqa: ANN202
    original = neck.forward

    def forward(feats: list[Tensor], *, num_labeled: int | None = None, **options: object) -> tuple[Tensor, ...]:
        if num_labeled is not None:
            return original(feats, num_labeled=num_labeled, **options)
        feats = list(feats)
        level = feats[neck.in_index]
        residual = neck.map_in(torch.cat([level, level])).flatten(2).transpose(1, 2)
        tokens = neck.token_norm(residual)
        first, second = tokens.chunk(2)
        reborn = torch.cat([neck.labeled_attention(first, second, shared=True), neck.unlabeled_attention(second)])
        out = neck.map_out(neck.out_norm(reborn + residual).transpose(1, 2).unflatten(2, level.shape[2:]))
        feats[neck.in_index] = out.chunk(2)[0]
        return tuple(feats)

    return forward


def _concatenating(head: SegformerMLPHead):  # noqa: ANN202
    def forward(inputs: list[Tensor]) -> Tensor:
        levels = head._transform_inputs(inputs)
        first, *deeper = (conv(level) for conv, level in zip(head.convs, levels, strict=True))
        options = dict(size=first.shape[2:], mode="bilinear", align_corners=False)
        full = [first, *(F.interpolate(level, **options) for level in deeper)]
        return head.cls_seg(head.fusion_conv(torch.cat(full[::-1], dim=1)))

    return forward
