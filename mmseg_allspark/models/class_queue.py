"""ClassQueue: the latest feature rows of every class."""

import torch
from mmengine.dist import all_gather, broadcast, get_world_size
from mmengine.model import BaseModule
from torch import Tensor

from mmseg_allspark.utils.checks import check_choice, check_positive_int

SYNC_MODES = ("rank0", "gather", "local")


class ClassQueue(BaseModule):
    """A ring of M rows per class, first in, first out, written without a loop and without a copy to the host.

    The queue only stores: :meth:`write` never reads for the step and :meth:`read` never writes. What was read and still
    needs a backward pass must not be written to before it: write first, or clone. With ``sync='gather'`` the ranks tell
    each other how many rows they have, which copies one number per rank to the host.

    Args:
        num_classes: Classes K.
        num_slots: Rows M per class.
        num_columns: Numbers D of a row.
        sync: How the queues of several ranks combine. ``'rank0'``: before each write rank 0's queue overwrites the
            others (what DistributedDataParallel's buffer broadcast does); ``'gather'``: every rank writes the rows of
            all ranks in rank order, so all queues are equal; ``'local'``: each rank keeps its own. Default ``'rank0'``.

    Buffers: ``queue`` (K, M, D) float32 from a normal distribution, ``pointer`` (K,) int64 the next row, ``enqueued``
    (K,) int64 the number of rows ever written (for the fill level).
    """

    training_only = True
    copied_by_teacher = True  # the mean of two queues is none

    def __init__(self, num_classes: int, num_slots: int, num_columns: int, sync: str = "rank0") -> None:
        super().__init__()
        check_positive_int("num_classes", num_classes)
        check_positive_int("num_slots", num_slots)
        check_choice("sync", sync, SYNC_MODES)
        self.sync = sync
        self.register_buffer("queue", torch.randn(num_classes, num_slots, num_columns))
        self.register_buffer("pointer", torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("enqueued", torch.zeros(num_classes, dtype=torch.int64))

    @property
    def num_classes(self) -> int:
        """Classes K."""
        return self.queue.shape[0]

    @property
    def num_slots(self) -> int:
        """Rows M per class."""
        return self.queue.shape[1]

    def read(self) -> Tensor:
        """Return the rows (K, M, D), detached from any graph."""
        return self.queue

    def fill_level(self) -> Tensor:
        """Return the share of rows ever written, per class: (K,) float32 in [0, 1]."""
        return (self.enqueued / self.num_slots).clamp(max=1.0)

    @torch.no_grad()
    def write(self, rows: Tensor, classes: Tensor | None) -> None:
        """Enqueue every row into the ring of its class, in order.

        Args:
            rows: (R, D).
            classes: (R,) int64; None: the queue is one ring of K*M rows without classes.
        """
        self.synchronize()
        rows = rows.float()
        if self.sync == "gather" and get_world_size() > 1:
            rows = _gather(rows)
            classes = None if classes is None else _gather(classes)
        self._enqueue(rows, self._next_rows(len(rows)) if classes is None else classes)

    def synchronize(self) -> None:
        """Make the ranks' queues agree as ``sync`` declares; without several ranks, do nothing."""
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


def _gather(tensor: Tensor) -> Tensor:
    """Concatenate (R_r, ...) of all ranks in rank order; the R_r may differ."""
    count = torch.tensor([len(tensor)], device=tensor.device)
    counts = [int(other) for other in all_gather(count)]
    padded = tensor.new_zeros((max(counts), *tensor.shape[1:]))
    padded[: len(tensor)] = tensor
    return torch.cat([part[:size] for part, size in zip(all_gather(padded), counts, strict=True)])
