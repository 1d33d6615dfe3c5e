"""Channel-wise Semantic Grouping and the Semantic Memory (AllSpark, section 3.4).

Legend: B images, N = H*W tokens, C channels, K classes, M memory rows per class.
"""

import math

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, broadcast, get_world_size
from mmengine.model import BaseModule
from torch import Tensor

from mmseg_allspark.utils.checks import as_size, check_choice, check_positive_int

SIMILARITIES = ("cosine", "instance_norm")
GROUPING_MAPS = ("logits", "softmax")
SYNC_MODES = ("rank0", "gather", "local")


def feature_size(crop: int | tuple[int, int], stride: int = 32) -> tuple[int, int]:
    """The (height, width) of a backbone's map at a training crop, as the memory has to have it.

    Args:
        crop: (height, width), or one integer for a square, in pixels.
        stride: Pixels from one feature to the next. Default 32, the deepest level of MiT.

    Returns:
        Both sides divided by the stride, rounded up: such backbones pad.
    """
    return tuple(math.ceil(side / stride) for side in as_size("crop_size", crop))


@torch.no_grad()
def group_channels(
    tokens: Tensor,
    pseudo_logits: Tensor,
    *,
    size: tuple[int, int],
    similarity: str = "cosine",
    grouping_map: str = "logits",
) -> Tensor:
    """Give every channel of every image the class whose pseudo-label map it resembles most.

    Args:
        tokens: (B, N, C) normalised features of the unlabeled images.
        pseudo_logits: (B, K, H', W') logits of the same images, any resolution.
        size: (H, W) of the features, N = H*W.
        similarity: ``'cosine'`` over the tokens (release, default) or ``'instance_norm'``, the paper's
            psi(p h): since psi is monotone, this is the argmax of the raw inner product.
        grouping_map: ``'logits'`` (release, default) or ``'softmax'``, the paper's probability map.

    Returns:
        (B, C) int64, the class of each channel; ties go to the lower class.
    """
    check_choice("similarity", similarity, SIMILARITIES)
    check_choice("grouping_map", grouping_map, GROUPING_MAPS)
    with torch.autocast(device_type=tokens.device.type, enabled=False):
        maps = pseudo_logits.float()
        maps = maps.softmax(dim=1) if grouping_map == "softmax" else maps
        maps = resize_by_points(maps, size).flatten(2)  # (B, K, N)
        channels = tokens.float()
        if similarity == "cosine":
            maps, channels = F.normalize(maps, dim=2), F.normalize(channels, dim=1)
        return (maps @ channels).argmax(dim=1)  # (B, K, C) -> (B, C)


def resize_by_points(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear ``F.interpolate(maps, size, align_corners=False)`` that reads only the pixels it needs.

    From 513x513 to 17x17 these are one in two hundred; torch first copies the whole maps on the CPU (81 classes x 4
    images: 340 MB).

    Args:
        maps: (B, K, H', W').
        size: (H, W).

    Returns:
        (B, K, H, W).
    """
    for dim, new in ((2, size[0]), (3, size[1])):
        old = maps.shape[dim]
        position = (torch.arange(new, device=maps.device, dtype=maps.dtype) + 0.5) * (old / new) - 0.5
        position = position.clamp(min=0.0)
        low = position.long().clamp(max=old - 1)
        weight = (position - low).view(-1, *[1] * (3 - dim))
        maps = maps.index_select(dim, low).lerp(maps.index_select(dim, (low + 1).clamp(max=old - 1)), weight)
    return maps


class SemanticMemory(BaseModule):
    """A ring of M channel rows per class, filled by the channels of unlabeled images.

    The memory only stores: :meth:`write` never reads for the step and :meth:`read` never writes.

    Args:
        num_classes: Classes K.
        num_slots: Rows M per class; AllSpark uses M = C.
        size: (H, W) of the feature maps stored, N = H*W tokens a row.
        sync: How the memories of several ranks combine. ``'rank0'``: before each write rank 0's memory
            overwrites the others (what the release does through DistributedDataParallel's buffer
            broadcast); ``'gather'``: every rank writes the channels of all ranks in rank order, so all
            memories are equal; ``'local'``: each rank keeps its own. Default ``'rank0'``.

    Buffers: ``queue`` (K, M, N) float32 from a normal distribution, ``pointer`` (K,) int64 the next row,
    ``enqueued`` (K,) int64 the number of channels ever written (for the fill level). Rows of a checkpoint that were
    square maps of another size are resized bilinearly when they are loaded.
    """

    training_only = True  # images attend to themselves at test time
    copied_by_teacher = True  # the mean of two queues is none

    def __init__(self, num_classes: int, num_slots: int, size: tuple[int, int], sync: str = "rank0") -> None:
        super().__init__()
        check_positive_int("num_classes", num_classes)
        check_positive_int("num_slots", num_slots)
        check_choice("sync", sync, SYNC_MODES)
        self.size = as_size("memory_size", size)
        self.sync = sync
        self.register_buffer("queue", torch.randn(num_classes, num_slots, self.size[0] * self.size[1]))
        self.register_buffer("pointer", torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("enqueued", torch.zeros(num_classes, dtype=torch.int64))

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: object) -> None:
        """Resize rows of another crop on the way in; only N = H*W is known of them, so they have to be square."""
        queue = state_dict.get(f"{prefix}queue")
        if queue is not None and queue.dim() == 3 and queue.shape != self.queue.shape:
            side = math.isqrt(queue.shape[2])
            if queue.shape[:2] == self.queue.shape[:2] and side * side == queue.shape[2]:
                maps = queue.unflatten(2, (side, side))
                maps = F.interpolate(maps, size=self.size, mode="bilinear", align_corners=False)
                state_dict[f"{prefix}queue"] = maps.flatten(2)
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def num_classes(self) -> int:
        """Classes K."""
        return self.queue.shape[0]

    @property
    def num_slots(self) -> int:
        """Rows M per class."""
        return self.queue.shape[1]

    def read(self) -> Tensor:
        """Return the memory as token maps (K, N, M), one per class, detached from any graph."""
        return self.queue.transpose(1, 2)

    def fill_level(self) -> Tensor:
        """Return the share of rows ever written, per class: (K,) float32 in [0, 1]."""
        return (self.enqueued / self.num_slots).clamp(max=1.0)

    @torch.no_grad()
    def write(self, tokens: Tensor, classes: Tensor | None) -> None:
        """Enqueue every channel into the ring of its class, in image order and then channel order.

        Args:
            tokens: (B, N, C) features of the unlabeled images.
            classes: (B, C) int64 class of each channel, or None to add all channels blindly ("S-Mem without
                CSG", table 5): the memory is then one first-in-first-out ring of K*M rows without classes.

        Raises:
            ValueError: If the tokens do not have the memory's size.
        """
        if tokens.shape[1] != self.queue.shape[2]:
            raise ValueError(
                f"The memory holds rows of {self.queue.shape[2]} tokens (memory_size={self.size}), got "
                f"features of {tokens.shape[1]} tokens; set memory_size to the feature size at the crop."
            )
        self.synchronize()
        rows = tokens.float().transpose(1, 2)
        if self.sync == "gather" and get_world_size() > 1:
            rows = _gather_images(rows)
            classes = None if classes is None else _gather_images(classes)
        if classes is None:
            classes = self._next_rows(rows.shape[0] * rows.shape[1])
        self._enqueue(rows.flatten(0, 1), classes.flatten())

    def synchronize(self) -> None:
        """Make the ranks' memories agree as ``sync`` declares; without several ranks, do nothing."""
        if self.sync == "rank0" and get_world_size() > 1:
            for buffer in (self.queue, self.pointer, self.enqueued):
                broadcast(buffer, src=0)

    def _next_rows(self, count: int) -> Tensor:
        """Blocks ("classes") of the next ``count`` rows when the memory is one ring of K*M rows."""
        first = self.enqueued.sum()
        rows = first + torch.arange(count, device=first.device)
        return rows // self.num_slots % self.num_classes

    def _enqueue(self, rows: Tensor, classes: Tensor) -> None:
        """Enqueue rows (R, N) of classes (R,) without a loop and without a copy to the host."""
        order = torch.argsort(classes, stable=True)  # by class, and within a class the first row first
        sorted_classes = classes.index_select(0, order)
        counts = torch.zeros_like(self.pointer).scatter_add_(0, classes, torch.ones_like(classes))
        start = counts.cumsum(0) - counts - self.pointer  # rank within the class + pointer = position - start
        slot = torch.arange(len(rows), device=rows.device) - start.index_select(0, sorted_classes)
        target = sorted_classes * self.num_slots + slot % self.num_slots
        if len(rows) > self.num_slots:
            # A class with more than M rows hits slots twice, and writing two values to one index has no defined
            # order: every row that hits a slot carries the value of the last one (the largest index).
            last = classes.new_zeros(self.num_classes * self.num_slots).scatter_reduce_(0, target, order, "amax")
            order = last.index_select(0, target)
        self.queue.view(-1, self.queue.shape[2]).index_copy_(0, target, rows.index_select(0, order))
        self.pointer.add_(counts).remainder_(self.num_slots)
        self.enqueued.add_(counts)


def _gather_images(tensor: Tensor) -> Tensor:
    """Concatenate (B_r, ...) of all ranks in rank order; the B_r may differ."""
    count = torch.tensor([len(tensor)], device=tensor.device)
    counts = [int(other) for other in all_gather(count)]
    padded = tensor.new_zeros((max(counts), *tensor.shape[1:]))
    padded[: len(tensor)] = tensor
    return torch.cat([part[:size] for part, size in zip(all_gather(padded), counts, strict=True)])
