"""AEL's mixtures, which favour the classes that do badly (arXiv 2110.05474, sections 3.3 and 3.4)."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmseg_allspark.labels.class_confidence import draw_classes
from mmseg_allspark.labels.components import bounding_boxes, component_sizes, connected_components
from mmseg_allspark.labels.cutmix import CutMix
from mmseg_allspark.utils.checks import Count, PositiveInt, Share, check_types

Maps = dict[str, Tensor]


class ClassCopyPaste(BaseModule):
    """Pastes some classes of the next labeled image of the batch into each labeled image.

    Args:
        num_classes: Classes K.
        classes: Classes drawn for a batch, with replacement. Default 3.
        prob: Probability with which an image receives them. Default 0.5.
        exclude: Classes that are never pasted, such as road and sky. Default (), none.
        power: A class is drawn with a probability proportional to exp((1 - its confidence) ** power); 1 in the
            paper (equation 9), 0.5 in the release. Default 0.5.

    Raises:
        ValueError: If ``exclude`` names a class that there is not, or leaves none.
    """

    training_only = True

    @check_types
    def __init__(
        self,
        num_classes: PositiveInt,
        classes: PositiveInt = 3,
        prob: Share = 0.5,
        exclude: Sequence[Count] = (),
        power: Share = 0.5,
    ) -> None:
        super().__init__()
        unknown = [label for label in exclude if label >= num_classes]
        if unknown or len(set(exclude)) == num_classes:
            raise ValueError(
                f"model.copy_paste.exclude={tuple(exclude)}: the model has the classes 0 to {num_classes - 1}, and at "
                "least one of them has to be left."
            )
        self.classes, self.prob, self.power = classes, prob, power
        excluded = torch.zeros(num_classes, dtype=torch.bool)
        excluded[list(exclude)] = True
        self.register_buffer("excluded", excluded, persistent=False)

    def forward(self, images: Tensor, masks: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
        """Draw and paste.

        Args:
            images: (B, 3, H, W).
            masks: (B, H, W) int64.
            confidence: (K,) in [0, 1], of each class.

        Returns:
            New images and masks.
        """
        classes = draw_classes(self.preferences(confidence), self.classes)
        takes = torch.rand(len(images), device=images.device) < self.prob
        return paste_classes(images, masks, images.roll(-1, dims=0), masks.roll(-1, dims=0), classes, takes)

    def preferences(self, confidence: Tensor) -> Tensor:
        """Logits (K,) of the draw of a class, from the confidences (K,)."""
        return ((1.0 - confidence).clamp(min=0.0) ** self.power).masked_fill(self.excluded, -torch.inf)


def paste_classes(
    images: Tensor, masks: Tensor, sources: Tensor, source_masks: Tensor, classes: Tensor, takes: Tensor
) -> tuple[Tensor, Tensor]:
    """Paste the pixels of some classes, with their labels.

    Args:
        images: (B, 3, H, W).
        masks: (B, H, W).
        sources: (B, 3, H, W), where each image receives from.
        source_masks: (B, H, W).
        classes: (n,), the classes that are pasted.
        takes: (B,) bool, which images receive.

    Returns:
        New images and masks.
    """
    inside = (source_masks[..., None] == classes).any(dim=-1) & takes[:, None, None]
    return torch.where(inside[:, None], sources, images), torch.where(inside, source_masks, masks)


class ClassCutMix:
    """Pastes a rectangle around an object of a class that does badly into each image.

    For each image a class is drawn, with a probability proportional to exp(1 - its confidence), and another image of
    the batch that shows this class, or any other if none does. The rectangle is the bounding box of one of the class's
    connected components there. Where none is large enough it is a random rectangle of half the area of the image.

    Args:
        area: A component is large enough with more than this share of the image's pixels. Default 0.005.
        bank_area: An image shows a class that has at least this share of its pixels. Default 0.01.
    """

    @check_types
    def __init__(self, area: Share = 0.005, bank_area: Share = 0.01) -> None:
        self.area, self.bank_area = area, bank_area
        self.anywhere = CutMix(prob=1.0, area=(0.5, 0.5), aspect=None)

    def __call__(self, maps: Maps, label: Tensor, confidence: Tensor) -> Maps:
        """Draw and mix.

        Args:
            maps: Maps by name, each (B, ..., H, W): images, labels, weights and so on.
            label: (B, H, W) int64, the labels in which classes are looked for.
            confidence: (K,) in [0, 1], of each class.

        Returns:
            New maps.
        """
        classes = draw_classes(1.0 - confidence, len(label))
        shows = self.shown_classes(label, len(confidence)).T[classes]
        partner = choose_partners(shows, torch.rand(shows.shape, device=label.device))
        mask = label[partner] == classes[:, None, None]
        inside = self.rectangles(mask, torch.rand(label.shape, device=label.device))
        mixed = {}
        for name, own in maps.items():
            where = inside.view(len(own), *[1] * (own.dim() - 3), *inside.shape[1:])
            mixed[name] = torch.where(where, own[partner], own)
        return mixed

    def shown_classes(self, label: Tensor, num_classes: int) -> Tensor:
        """Which classes each image shows: labels (B, H, W) in [0, K) -> (B, K) bool."""
        index = label.flatten(1)
        counts = index.new_zeros(len(index), num_classes).scatter_add_(1, index, torch.ones_like(index))
        return counts >= self.bank_area * index.shape[1]

    def rectangles(self, mask: Tensor, scores: Tensor) -> Tensor:
        """Rectangles around a component of each mask.

        Args:
            mask: (B, H, W) bool.
            scores: (B, H, W) in [0, 1). The component whose last pixel has the highest score is taken.

        Returns:
            (B, H, W) bool.
        """
        label = connected_components(mask)
        large = component_sizes(label)[:, 1:] > self.area * mask[0].numel()
        best, root = torch.where(large, scores.flatten(1), -1.0).max(dim=1)
        boxes = bounding_boxes(label == root[:, None, None] + 1)
        every = torch.ones_like(mask)
        (anywhere,) = self.anywhere([~every], pasted=[every], partners=range(len(mask)))
        return torch.where((best >= 0)[:, None, None], boxes, anywhere)


def choose_partners(shows: Tensor, scores: Tensor) -> Tensor:
    """Choose the image that each image receives from.

    Args:
        shows: (B, N) bool, whether each of N images shows the class that is looked for.
        scores: (B, N) in [0, 1), drawn: of the images that show the class, the one with the highest is chosen. The
            image itself is chosen only if there is no other.

    Returns:
        (B,) int64.
    """
    own = torch.eye(*shows.shape, device=shows.device)
    return (scores + shows.float() - 3.0 * own).argmax(dim=1)
