"""ESL's contrast between pixels and parts of objects (ICCV 2023), as far as it holds features.

Legend: B images, K classes, P parts of all classes together, C channels of the encoder, D of the projection.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather
from mmengine.model import BaseModule
from mmseg.models.utils import resize
from torch import Tensor

from mmseg_allspark.models.class_queue import ClassQueue
from mmseg_allspark.models.draws import draw_below, draw_per_class
from mmseg_allspark.models.pixel_rows import mean_rows, pixel_rows
from mmseg_allspark.utils.checks import Between, PositiveInt, Share, check_types


class PartMemory(BaseModule):
    """Prototypes that divide every class into parts, a queue of features of each part, and the loss against them.

    A part is the class times ``parts`` plus its number in the class; P stands for pixels of no part. The prototypes of
    a class start as encoder features of random labeled pixels, in the first step that shows the class, and follow the
    mean feature of their part. All ranks have the same prototypes and queues. For that they exchange features of each
    part in every step: 2.6 MB a rank with 21 classes, 2048 channels and 4 images, where the gradients of a ResNet-101
    are 240 MB. Loss and similarities are float32.

    Args:
        num_classes: Classes K.
        in_channels: Channels C of the encoder's features.
        channels: Channels D of the projection. Default 512.
        parts: Parts of a class. Default 5.
        queue: Features that are kept of each part. Default 512.
        momentum: Share of a prototype that stays in a step. Default 0.99.
        anchor_share: Share of the pixels of a class that are attracted. Default 0.1.
        max_anchors: At most so many pixels of a class and step on this rank. Default 64.
        negatives: Features of other parts that repel a pixel, drawn with replacement. Default 255.
        temperature: Default 0.5.
    """

    training_only = True
    shared_with_teacher = True  # a teacher reads none of it

    @check_types
    def __init__(
        self,
        num_classes: PositiveInt,
        in_channels: PositiveInt,
        channels: PositiveInt = 512,
        *,
        parts: PositiveInt = 5,
        queue: PositiveInt = 512,
        momentum: Share = 0.99,
        anchor_share: Share = 0.1,
        max_anchors: PositiveInt = 64,
        negatives: PositiveInt = 255,
        temperature: Annotated[float, Between(1e-3)] = 0.5,
    ) -> None:
        super().__init__()
        self.num_classes, self.parts, self.momentum = num_classes, parts, momentum
        self.anchor_share, self.max_anchors = anchor_share, max_anchors
        self.negatives, self.temperature = negatives, temperature
        self.register_buffer("prototypes", torch.zeros(num_classes, parts, in_channels))
        self.register_buffer("known", torch.zeros(num_classes, dtype=torch.bool))
        self.queue = ClassQueue(self.num_parts + 1, queue, channels, sync="gather")  # the last takes absent parts

    @property
    def num_parts(self) -> int:
        """Parts P of all classes together."""
        return self.num_classes * self.parts

    @torch.no_grad()
    def start(self, features: Tensor, classes: Tensor) -> None:
        """Give the classes that are seen for the first time prototypes, from the first rank that shows them.

        Args:
            features: (B, C, h, w) of the encoder.
            classes: (B, h, w) int64; K where there is none.
        """
        index, count = draw_per_class(classes.flatten(), self.num_classes, self.parts)
        drawn = pixel_rows(features).float().index_select(0, index.flatten()).view_as(self.prototypes)
        drawn, shown = (torch.stack(all_gather(part)) for part in (drawn, (count > 0).long()))
        first = shown.argmax(dim=0)[None, :, None, None].expand(1, *self.prototypes.shape)
        new = (shown.sum(dim=0) > 0) & ~self.known
        self.prototypes.copy_(torch.where(new[:, None, None], drawn.gather(0, first)[0], self.prototypes))
        self.known.logical_or_(new)

    @torch.no_grad()
    def assign(self, features: Tensor, classes: Tensor) -> Tensor:
        """Part of each pixel: the prototype of its class to which its feature has the largest cosine.

        Args:
            features: (B, C, h', w') of the encoder, resized to the classes' size.
            classes: (B, h, w) int64; K where there is none.

        Returns:
            (B, h, w) int64 parts; P where there is no class, or one without prototypes.
        """
        directions = F.normalize(self.prototypes, dim=2).flatten(0, 1)
        # Resizing products is resizing features, and their length is the same for all prototypes of a pixel.
        near = torch.einsum("bchw,pc->bphw", features.float(), directions)
        near = resize(near, size=classes.shape[1:], mode="bilinear").unflatten(1, (self.num_classes, self.parts))
        own = classes.clamp(max=self.num_classes - 1)
        index = own[:, None, None].expand(-1, 1, self.parts, -1, -1)
        part = own * self.parts + near.gather(1, index)[:, 0].argmax(dim=1)
        return torch.where((classes < self.num_classes) & self.known[own], part, self.num_parts)

    @torch.no_grad()
    def enqueue(self, projected: Tensor, part: Tensor) -> None:
        """Add the mean feature of every part of every image to the part's queue.

        Args:
            projected: (B, D, h, w).
            part: (B, h, w) int64, P where there is none.
        """
        number, every = len(part), self.num_parts + 1
        ids = part.flatten(1) + every * torch.arange(number, device=part.device)[:, None]
        mean, count = mean_rows(pixel_rows(projected), ids.flatten(), number * every)
        target = torch.arange(every, device=part.device).repeat(number)
        self.queue.write(mean, torch.where(count > 0, target, self.num_parts))

    @torch.no_grad()
    def follow(self, features: Tensor, part: Tensor) -> None:
        """Move the prototypes of the parts that a step shows, on any rank, towards their mean feature.

        Args:
            features: (B, C, h, w) of the encoder.
            part: (B, h, w) int64, P where there is none.
        """
        mean, count = mean_rows(pixel_rows(features), part.flatten(), self.num_parts + 1, every_rank=True)
        mean, shown = mean[:-1].view_as(self.prototypes), (count[:-1] > 0).view(self.num_classes, self.parts, 1)
        self.prototypes.lerp_(torch.where(shown, mean, self.prototypes), 1.0 - self.momentum)

    def loss(self, projected: Tensor, part: Tensor) -> Tensor:
        """Contrast of randomly drawn pixels with the queues, mean over the pixels of a class, then over all K classes.

        Args:
            projected: (B, D, h, w), with gradient.
            part: (B, h, w) int64 part of each pixel; P where it takes no part.

        Returns:
            Scalar; classes without pixels, or without features in the queues, count 0.
        """
        part, shape = part.flatten(), (self.num_classes, self.max_anchors)
        index, count = draw_per_class(part // self.parts, *shape)
        anchors = pixel_rows(projected).index_select(0, index.flatten()).float()
        own = part.index_select(0, index.flatten()).clamp(max=self.num_parts - 1)
        positive, negatives, ready = self.draw(own)
        wanted = (count * self.anchor_share).ceil()[:, None]
        used = (torch.arange(self.max_anchors, device=part.device) < wanted) & ready.view(shape)
        loss = info_nce(anchors, positive, negatives, self.temperature).view(shape)
        return ((loss * used).sum(dim=1) / used.sum(dim=1).clamp(min=1)).mean()

    @torch.no_grad()
    def draw(self, part: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of the queues for pixels of known parts.

        Args:
            part: (A,) int64 in [0, P).

        Returns:
            One feature (A, D) of the same part, features (A, negatives, D) of all others, those of the same class
            included, and (A,) bool, whether the queues have both.
        """
        slots, rows = self.queue.num_slots, self.queue.read().flatten(0, 1)
        filled = self.queue.enqueued[:-1].clamp(max=slots)
        end = filled.cumsum(dim=0)
        own, before = filled[part], (end - filled)[part]
        others = end[-1] - own
        positive = rows[part * slots + draw_below(own, 1)[:, 0]]
        pick = draw_below(others, self.negatives)
        pick = pick + torch.where(pick >= before[:, None], own[:, None], 0)  # over the features of the own part
        other = torch.searchsorted(end, pick, right=True).clamp(max=self.num_parts - 1)
        return positive, rows[other * slots + pick - (end - filled)[other]], (own > 0) & (others > 0)


def info_nce(anchors: Tensor, positive: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """-log of the share of the positive in exp(cosine / temperature), for each anchor.

    Args:
        anchors: (A, D).
        positive: (A, D).
        negatives: (A, N, D).
        temperature: Above 0.

    Returns:
        (A,).
    """
    anchors = F.normalize(anchors, dim=1)
    far = torch.einsum("ad,and->an", anchors, negatives) / negatives.norm(dim=2).clamp(min=1e-12)
    near = (anchors * F.normalize(positive, dim=1)).sum(dim=1, keepdim=True)
    logits = torch.cat([near, far], dim=1) / temperature
    return logits.logsumexp(dim=1) - logits[:, 0]
