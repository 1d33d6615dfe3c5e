"""AugSeg's CutMix, which also pastes labeled images into those that the teacher is not sure of (arXiv 2212.04976)."""

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from mmseg_allspark.utils.checks import Between, Share, check_types

Box = Sequence[int]  # top, left, bottom, right; the last two are outside
Beta = tuple[Annotated[float, Between(1e-3)], Annotated[float, Between(1e-3)]]
Maps = dict[str, Tensor]


class AdaptiveCutMix:
    """Two pastes in a row: labeled into unlabeled images, then those into the unlabeled images.

    A permutation gives each image of a batch a partner. First a rectangle of the labeled partner is pasted into a copy
    of each unlabeled image, with the probability 1 - its confidence. Then a rectangle of the partner's copy is pasted
    into each unlabeled image. A rectangle covers the share 1 - lambda of an image, less what lies outside of the image.
    lambda ~ Beta is drawn once for a batch. The centre is drawn for each image, from one eighth of height and width on.

    Args:
        labeled_beta: Parameters of Beta for labeled rectangles. None: no labeled image is pasted. Default (8, 2).
        unlabeled_beta: Parameters of Beta for unlabeled rectangles. Default (4, 4).
        adaptive: Use the confidence; False: paste a labeled rectangle into every copy. Default True.
        prob: Probability with which a batch is mixed. Default 1.
    """

    @check_types
    def __init__(
        self,
        labeled_beta: Beta | None = (8.0, 2.0),
        unlabeled_beta: Beta = (4.0, 4.0),
        adaptive: bool = True,
        prob: Share = 1.0,
    ) -> None:
        self.labeled_beta = None if labeled_beta is None else tuple(labeled_beta)
        self.unlabeled_beta, self.adaptive, self.prob = tuple(unlabeled_beta), adaptive, prob

    def __call__(self, unlabeled: Maps, labeled: Maps, confidence: Tensor) -> Maps:
        """Draw and mix.

        Args:
            unlabeled: Maps by name, each (B, ..., H, W): images, labels, weights and so on.
            labeled: The same names, of B labeled images.
            confidence: (B,) in [0, 1], how sure the teacher is of each unlabeled image.

        Returns:
            New maps of ``unlabeled``.
        """
        batch = len(confidence)
        if torch.rand(()).item() >= self.prob:
            return dict(unlabeled)
        size, device = next(iter(unlabeled.values())).shape[-2:], confidence.device
        partner = torch.randperm(batch, device=device)
        labeled_boxes = draw_boxes(batch, size, self.labeled_beta)
        unlabeled_boxes = draw_boxes(batch, size, self.unlabeled_beta)
        is_pasted = torch.rand(batch, device=device) > (confidence if self.adaptive else -1.0)
        return mix(unlabeled, labeled, partner, is_pasted, labeled_boxes, unlabeled_boxes)


def mix(
    unlabeled: Maps, labeled: Maps, partner: Tensor, is_pasted: Tensor, labeled_boxes: list[Box], boxes: list[Box]
) -> Maps:
    """Mix as drawn.

    Args:
        unlabeled: Maps by name, each (B, ..., H, W).
        labeled: The same names.
        partner: (B,) int64, the image that each receives from.
        is_pasted: (B,) bool, whether the copy of an unlabeled image receives a labeled rectangle.
        labeled_boxes: B rectangles of labeled images, each for the copy of one unlabeled image.
        boxes: B rectangles of unlabeled images.

    Returns:
        New maps.
    """
    size, device = next(iter(unlabeled.values())).shape[-2:], partner.device
    from_labeled = box_mask(labeled_boxes, size, device) & is_pasted[:, None, None]
    from_partner, mixed = box_mask(boxes, size, device), {}
    for name, own in unlabeled.items():
        shape = (len(own), *[1] * (own.dim() - 3), *size)
        copies = torch.where(from_labeled.view(shape), labeled[name][partner].to(own.dtype), own)
        mixed[name] = torch.where(from_partner.view(shape), copies[partner], own)
    return mixed


def draw_boxes(count: int, size: tuple[int, int], beta: tuple[float, float] | None) -> list[Box]:
    """Draw rectangles of one size; they are cut off at the border of the image.

    Args:
        count: How many.
        size: Height and width of the image.
        beta: Parameters of the distribution of lambda; None: empty rectangles.

    Returns:
        Top, left, bottom and right of each; the last two are outside.
    """
    if beta is None:
        return [(0, 0, 0, 0)] * count
    side = math.sqrt(1.0 - torch.distributions.Beta(*beta, validate_args=False).sample().item())
    boxes = []
    for _ in range(count):
        spans = []
        for length in size:
            half, centre = int(length * side) // 2, int(torch.randint(length // 8, length, ()).item())
            spans.append((max(centre - half, 0), min(centre + half, length)))
        (top, bottom), (left, right) = spans
        boxes.append((top, left, bottom, right))
    return boxes


def box_mask(boxes: list[Box], size: tuple[int, int], device: torch.device) -> Tensor:
    """Mask (B, H, W) of what lies in the rectangle of each image."""
    inside = torch.zeros(len(boxes), *size, dtype=torch.bool, device=device)
    for image, (top, left, bottom, right) in zip(inside, boxes, strict=True):
        image[top:bottom, left:right] = True
    return inside
