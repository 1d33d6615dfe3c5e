"""DGCL's contrast (CVPR 2023): the features of a class in sparse regions are drawn to those in dense ones.

Legend: B images; K classes, which also stands for pixels without a label; N = B * h * w pixels; M rows of a class in
the memory; C channels of the features, D of their projections; A anchors of a class.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseModule
from torch import Tensor

from mmseg_allspark.models.class_queue import ClassQueue
from mmseg_allspark.models.draws import draw_where
from mmseg_allspark.models.pixel_rows import is_of_class, pixel_rows
from mmseg_allspark.utils.checks import Between, Count, PositiveInt, check_types


class DensityMemory(BaseModule):
    """A memory of features for each class, their densities in it, and the loss between sparse and dense regions.

    The density of a feature is its mean cosine with its k nearest neighbours in the memory of its class, averaged over
    several k. A row of the memory is a feature, its projection and its density when it came in, which is not computed
    again. Every rank holds the whole memory. In each step the ranks gather their new rows and write all of them in
    rank order, so that all memories are equal. A teacher has its student's memory. All is computed in float32.

    Args:
        num_classes: Classes K.
        in_channels: Channels C.
        channels: Channels D. Default 256.
        rows: Features M that are kept of each class. Default 10000; with 21 classes and 256 channels of either kind
            they are 451 MB.
        rows_per_step: At most so many new features of a class and step, of all ranks together. Default 1000.
        density_rows: Rows that the memory of a class has to exceed for new ones to get a density; those before have 0.
            Default 1000.
        neighbours: Numbers k of neighbours. Default (8, 16, 32).
        anchors: Pixels of a class that are attracted, those of the lowest density. Default 200.
        positives: Pixels of the batch, and rows of the memory, of the highest density, whose mean attracts. Default 50.
        negatives: Pixels of other classes that repel, drawn for each class. Default 512.
        max_pixels: At most so many pixels of a class and step are looked at on a rank, drawn at random. Default 10000.
        temperature: Default 0.5.
        start_when: ``'all_full'``: the loss starts when the memories of all classes that labeled images have shown are
            full; the release waits for the others, too. ``'class_full'``: each class starts when its own memory is
            full. Default ``'all_full'``.
        skip_classes: Classes without anchors. Default (0,), the background.

    Raises:
        ValueError: If the memory has not enough rows for neighbours or positives.
    """

    training_only = True
    shared_with_teacher = True  # a teacher reads none of it

    @check_types
    def __init__(
        self,
        num_classes: PositiveInt,
        in_channels: PositiveInt,
        channels: PositiveInt = 256,
        *,
        rows: PositiveInt = 10_000,
        rows_per_step: PositiveInt = 1000,
        density_rows: PositiveInt = 1000,
        neighbours: Sequence[PositiveInt] = (8, 16, 32),
        anchors: PositiveInt = 200,
        positives: PositiveInt = 50,
        negatives: PositiveInt = 512,
        max_pixels: PositiveInt = 10_000,
        temperature: Annotated[float, Between(1e-3)] = 0.5,
        start_when: Literal["all_full", "class_full"] = "all_full",
        skip_classes: Sequence[Count] = (0,),
    ) -> None:
        super().__init__()
        if not neighbours or max(neighbours) > min(rows, density_rows) or positives > rows:
            raise ValueError(
                f"model.contrast: rows={rows}, density_rows={density_rows}, neighbours={neighbours}, positives="
                f"{positives}: there has to be a number of neighbours, none larger than rows and density_rows, and "
                "positives must not be larger than rows."
            )
        self.num_classes, self.in_channels, self.channels = num_classes, in_channels, channels
        self.rows_per_step, self.density_rows, self.neighbours = rows_per_step, density_rows, tuple(neighbours)
        self.anchors, self.positives, self.negatives, self.max_pixels = anchors, positives, negatives, max_pixels
        self.temperature, self.start_when = temperature, start_when
        used = torch.tensor([index not in skip_classes for index in range(num_classes)])
        self.register_buffer("has_anchors", used, persistent=False)
        self.register_buffer("shown", torch.zeros(num_classes, dtype=torch.bool))  # by labeled images, on any rank
        columns = in_channels + channels + 1
        self.queue = ClassQueue(num_classes + 1, rows, columns, sync="gather")  # the last takes what is of no class

    @property
    def filled(self) -> Tensor:
        """Rows (K,) int64 that the memory of each class has."""
        return self.queue.enqueued[:-1].clamp(max=self.queue.num_slots)

    @property
    def full(self) -> Tensor:
        """Whether the memory of each class is full: (K,) bool."""
        return self.filled == self.queue.num_slots

    @torch.no_grad()
    def density(self, features: Tensor) -> Tensor:
        """Density of features in the memories of their classes.

        Args:
            features: (K, P, C).

        Returns:
            (K, P) in [-1, 1]; minus infinity where a memory has fewer rows than neighbours are asked for.
        """
        found, slot = [], torch.arange(self.queue.num_slots, device=features.device)
        # class by class: the cosines of all classes together would be as many as K * P * M
        for rows, own, filled in zip(self.queue.read()[:-1], features, self.filled, strict=True):
            cosine = F.normalize(own, dim=1) @ F.normalize(rows[:, : self.in_channels], dim=1).T
            cosine = cosine.masked_fill_(slot >= filled, -torch.inf).topk(max(self.neighbours), dim=1).values
            found.append(torch.stack([cosine[:, :k].mean(dim=1) for k in self.neighbours]).mean(dim=0))
        return torch.stack(found)

    @torch.no_grad()
    def enqueue(self, features: Tensor, projected: Tensor, classes: Tensor, num_labeled: int | None = None) -> None:
        """Add pixels of a step, drawn at random for each class.

        Args:
            features: (B, C, h, w).
            projected: (B, D, h, w).
            classes: (B, h, w) int64.
            num_labeled: How many of the B images are labeled; they come first. Default None, all.
        """
        shown = is_of_class(classes[:num_labeled].flatten(), self.num_classes).any(dim=1).long()
        all_reduce(shown, op="max")
        self.shown.logical_or_(shown)
        classes, number = classes.flatten(), max(1, self.rows_per_step // get_world_size())
        # flipped: the last written counts as the newest
        index = draw_where(is_of_class(classes, self.num_classes), number).flip(1)
        picked = index.clamp(max=len(classes) - 1)
        own, projections = (pixel_rows(maps).float()[picked] for maps in (features, projected))
        density = torch.where(self.filled[:, None] > self.density_rows, self.density(own), 0.0)
        rows = torch.cat([own, projections, density[..., None]], dim=2)
        target = torch.arange(self.num_classes, device=index.device)[:, None]
        target = torch.where(index < len(classes), target, self.num_classes)
        self.queue.write(rows.flatten(0, 1), target.flatten())

    def loss(self, features: Tensor, projected: Tensor, classes: Tensor) -> Tensor:
        """Contrast of sparse pixels with the dense center of their class and with pixels of other classes.

        Args:
            features: (B, C, h, w); they get no gradient.
            projected: (B, D, h, w), with gradient.
            classes: (B, h, w) int64.

        Returns:
            Scalar: mean over the anchors of a class, then over the classes that have any; 0 where none has.
        """
        classes, projections = classes.flatten(), pixel_rows(projected).float()
        anchor, takes_part, center, has_pixels = self._find_dense_and_sparse(
            pixel_rows(features).float(), projections, classes
        )
        other = ~is_of_class(classes, self.num_classes) & (classes < self.num_classes)
        index = draw_where(other, self.negatives)
        negatives = projections.detach()[index.clamp(max=len(classes) - 1)]
        anchors = F.normalize(projections[anchor], dim=2)
        near = (anchors * F.normalize(center, dim=1)[:, None]).sum(dim=2, keepdim=True)
        far = anchors @ F.normalize(negatives, dim=2).mT
        far = torch.where((index < len(classes))[:, None], far, -torch.inf)
        logits = torch.cat([near, far], dim=2) / self.temperature
        loss = (logits.logsumexp(dim=2) - logits[..., 0]) * takes_part
        loss = loss.sum(dim=1) / takes_part.sum(dim=1).clamp(min=1)
        full = self.full
        ready = full if self.start_when == "class_full" else full & (full | ~self.shown).all()
        counts = has_pixels & self.has_anchors & ready
        return (loss * counts).sum() / counts.sum().clamp(min=1)

    @torch.no_grad()
    def _find_dense_and_sparse(
        self, features: Tensor, projections: Tensor, classes: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Anchors (K, A) among the pixels, which of them there are; centers (K, D), and which classes have pixels."""
        index = draw_where(is_of_class(classes, self.num_classes), self.max_pixels)
        there, index = index < len(classes), index.clamp(max=len(classes) - 1)
        count = there.sum(dim=1, keepdim=True)
        density = torch.where(count > max(self.neighbours), self.density(features[index]), 1.0)
        sparse = torch.where(there, density, torch.inf).topk(min(self.anchors, len(index[0])), largest=False).indices
        dense = torch.where(there, density, -torch.inf).topk(min(self.positives, len(index[0]))).indices
        takes_part = torch.arange(sparse.shape[1], device=index.device) < count
        # densities of unfilled memories may be minus infinity as well, so that pixels are told from gaps by position
        is_dense = there.gather(1, dense)[..., None]
        total = (projections[index.gather(1, dense)] * is_dense).sum(dim=1)
        stored = self.queue.read()[:-1]
        best = stored[..., -1].topk(self.positives, dim=1).indices
        rows = stored[..., self.in_channels : -1].gather(1, best[..., None].expand(-1, -1, self.channels))
        center = (total + rows.sum(dim=1)) / (is_dense.sum(dim=1) + self.positives)
        return index.gather(1, sparse), takes_part, center, count[:, 0] > 0
