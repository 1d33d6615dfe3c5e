"""U2PL's contrast (CVPR 2022, section 3.3): pixels that are surely not of a class are the negatives of the class.

Legend: B images, labeled ones first; K classes, which also stands for pixels without a label; N = B * h * w pixels; D
channels of the features; A anchors of a class.
"""

from typing import Annotated, Literal

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmseg_allspark.models.class_queue import ClassQueue
from mmseg_allspark.models.draws import draw_below, draw_where
from mmseg_allspark.models.part_memory import info_nce
from mmseg_allspark.models.pixel_rows import count_pixels, is_of_class, mean_rows, pixel_rows
from mmseg_allspark.utils.checks import Between, Count, PositiveInt, Share, check_types


class NegativeMemory(BaseModule):
    """A memory of negatives for each class, and the loss that holds pixels of the class away from them.

    Every rank holds the whole memory. In each step the ranks gather their new rows and write all of them in rank order,
    so that all memories are equal. A teacher has its student's memory. Loss and ranks of classes are float32.

    Args:
        num_classes: Classes K.
        channels: Channels D of the features. Default 256.
        rows: Features that are kept of each class. Default 30000; with 21 classes of 256 channels they are 676 MB.
        rows_per_step: At most so many new features of a class, step and rank, drawn at random. Default 1024.
        anchors: Pixels A of a class that are compared, drawn with replacement. Default 256.
        negatives: Features that each of them is compared with, drawn with replacement. Default 50.
        temperature: Default 0.5.
        anchor_threshold: Probability of its class that an anchor has to exceed. Default 0.3.
        negative_threshold: Probability of a class that a negative of it has to be below. Default 1.
        low_rank: The class has to be among the so many likeliest ones in a labeled pixel of another class, and must not
            be among them in an unlabeled pixel. Default 3.
        high_rank: The class has to be among the so many likeliest ones in an unlabeled pixel. Default 20.
        candidates: ``'unlikely'``: all unreliable pixels, as in the paper. ``'released'``: only those that the teacher
            labels as the class itself, which in the release is a slip. Default ``'unlikely'``.

    Raises:
        ValueError: If ``low_rank`` leaves no class that is unlikely, or ``high_rank`` is not larger.
    """

    training_only = True
    shared_with_teacher = True  # twice as many rows would serve nobody

    @check_types
    def __init__(
        self,
        num_classes: PositiveInt,
        channels: PositiveInt = 256,
        *,
        rows: PositiveInt = 30_000,
        rows_per_step: PositiveInt = 1024,
        anchors: PositiveInt = 256,
        negatives: PositiveInt = 50,
        temperature: Annotated[float, Between(1e-3)] = 0.5,
        anchor_threshold: Share = 0.3,
        negative_threshold: Share = 1.0,
        low_rank: Count = 3,
        high_rank: PositiveInt = 20,
        candidates: Literal["unlikely", "released"] = "unlikely",
    ) -> None:
        super().__init__()
        if low_rank >= min(num_classes, high_rank):
            raise ValueError(
                f"model.contrast.low_rank={low_rank} with {num_classes} classes and high_rank={high_rank}: no class "
                "would be unlikely, and the memory would stay empty. Set a smaller one, e.g. contrast=dict(low_rank=1)."
            )
        self.num_classes, self.rows_per_step, self.anchors, self.negatives = (
            num_classes, rows_per_step, anchors, negatives,
        )  # fmt: skip
        self.temperature, self.candidates = temperature, candidates
        self.anchor_threshold, self.negative_threshold = anchor_threshold, negative_threshold
        self.low_rank, self.high_rank = low_rank, high_rank
        self.queue = ClassQueue(num_classes + 1, rows, channels, sync="gather")  # the last takes what is of no class

    @torch.no_grad()
    def find_negatives(self, prob: Tensor, classes: Tensor, unreliable: Tensor, num_labeled: int) -> Tensor:
        """Find the pixels that are negatives of each class.

        Args:
            prob: (B, K, h, w) probabilities of the teacher.
            classes: (B, h, w) int64 labels.
            unreliable: (B, h, w) bool: labeled pixels, and the unlabeled ones of high entropy.
            num_labeled: Labeled images among the B.

        Returns:
            (K, N) bool.
        """
        rank = prob.argsort(dim=1, descending=True).argsort(dim=1)
        own = is_of_class(classes, self.num_classes)
        likely = rank < self.low_rank
        unlikely = ~likely & (rank < self.high_rank)
        found = torch.cat([likely[:num_labeled] & ~own[:num_labeled], unlikely[num_labeled:]])
        found = found & unreliable[:, None] & (prob < self.negative_threshold)
        if self.candidates == "released":
            found = found & own
        return found.transpose(0, 1).flatten(1)

    @torch.no_grad()
    def enqueue(self, features: Tensor, found: Tensor) -> None:
        """Add features of a step to the memory, in the order of the pixels.

        Args:
            features: (B, D, h, w) of the teacher.
            found: (K, N) bool, of :meth:`find_negatives`.
        """
        pixels = found.shape[1]
        index = draw_where(found, self.rows_per_step)
        rows = pixel_rows(features).index_select(0, index.flatten().clamp(max=pixels - 1))
        classes = torch.arange(self.num_classes, device=found.device)[:, None]
        self.queue.write(rows, torch.where(index < pixels, classes, self.num_classes).flatten())

    def loss(self, projected: Tensor, features: Tensor, prob: Tensor, classes: Tensor, reliable: Tensor) -> Tensor:
        """Contrast of the pixels of each class with the mean of their class and with the memory.

        Args:
            projected: (B, D, h, w) of the student, with gradient.
            features: (B, D, h, w) of the teacher.
            prob: (B, K, h, w) probabilities of the teacher.
            classes: (B, h, w) int64 labels.
            reliable: (B, h, w) bool: labeled pixels, and the unlabeled ones of low entropy.

        Returns:
            Scalar: mean over the anchors of a class, summed, divided by the number of classes with reliable pixels. A
            class without anchors or negatives counts 0, and with a single class the loss is 0.
        """
        classes = torch.where(reliable, classes, self.num_classes)
        centers, present = self._centers(features, classes.flatten())
        index, has_anchors = self._draw_anchors(prob, classes)
        anchors = pixel_rows(projected).index_select(0, index.flatten()).float()
        negatives, has_negatives = self._draw_negatives()
        loss = info_nce(anchors, centers.repeat_interleave(self.anchors, dim=0), negatives, self.temperature)
        loss = loss.view(index.shape).mean(dim=1) * (present & has_anchors & has_negatives)
        number = present.sum()
        return loss.sum() / number.clamp(min=1) * (number > 1)

    @torch.no_grad()
    def _centers(self, features: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Mean feature of each class (K, D), and (K,) bool, whether it has pixels."""
        mean, count = mean_rows(pixel_rows(features), classes, self.num_classes + 1)
        return mean[:-1], count[:-1] > 0

    @torch.no_grad()
    def _draw_anchors(self, prob: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (K, A) of each class of which the teacher is sure, and (K,) bool, whether there are any."""
        own = classes.clamp(max=self.num_classes - 1)[:, None]
        sure = prob.gather(1, own)[:, 0] > self.anchor_threshold
        classes = torch.where(sure, classes, self.num_classes).flatten()
        order, count = classes.argsort(stable=True), count_pixels(classes, self.num_classes)
        place = (count.cumsum(0) - count)[:, None] + draw_below(count, self.anchors)
        return order[place.clamp(max=len(order) - 1)], count > 0

    @torch.no_grad()
    def _draw_negatives(self) -> tuple[Tensor, Tensor]:
        """Rows (K * A, negatives, D) of each class, and (K,) bool, whether it has any."""
        slots, filled = self.queue.num_slots, self.queue.enqueued[:-1].clamp(max=self.queue.num_slots)
        slot = draw_below(filled, self.anchors * self.negatives)
        index = torch.arange(self.num_classes, device=slot.device)[:, None] * slots + slot
        rows = self.queue.read().flatten(0, 1).index_select(0, index.flatten())
        return rows.view(-1, self.negatives, rows.shape[1]), filled > 0
