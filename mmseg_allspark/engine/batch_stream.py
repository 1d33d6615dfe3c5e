"""Batches of indices without end, from any sampler, that can start anywhere."""

import math
from collections.abc import Iterator
from itertools import count, islice

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_world_size
from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler, Sampler

from mmseg_allspark.datasets.setting_checks import check_batch
from mmseg_allspark.utils.checks import check_positive_int

EMPTY = "the data set is empty; check its ann_file, data_prefix and data_root."


class StreamIndex(int):
    """Index of an image that knows its position in the stream, also in a worker.

    Args:
        index: Of the image.
        position: Of the sample, counted from the beginning of training; no two samples have the same.
    """

    position: int

    def __new__(cls, index: int, position: int) -> "StreamIndex":
        """Build an int with one attribute more."""
        self = super().__new__(cls, index)
        self.position = position
        return self

    def __getnewargs__(self) -> tuple[int, int]:
        return int(self), self.position


@DATA_SAMPLERS.register_module()
class StreamBatchSampler(BatchSampler):
    """Endless batches over a finite or infinite sampler; its length is the batches of one pass.

    The data loader on top never ends, so its workers are started once, and a resumed run moves to its
    position by :meth:`seek`, without reading data. The indices are :class:`StreamIndex`: what is random about a sample
    may depend on its position.

    Args:
        sampler: Gives the indices of this rank; its ``set_epoch``, if any, is called before every pass.
        batch_size: Images per batch.
        drop_last: Drop a pass's incomplete batch. Ignored with ``cycle``. Default False.
        cycle: Fill a pass's incomplete batch from the next pass, so that all batches are full (labeled data, of
            which there are few). Default False.
    """

    def __init__(self, sampler: Sampler, batch_size: int, drop_last: bool = False, cycle: bool = False) -> None:
        super().__init__(sampler, batch_size, drop_last)
        check_positive_int("batch_size", batch_size)
        self.cycle = cycle
        self._first_batch = 0
        images, ranks = len(getattr(sampler, "dataset", ())), get_world_size()
        if 0 < images < ranks and not getattr(sampler, "round_up", True):  # so on all ranks, not on those without
            raise ValueError(f"{images} images are too few for {ranks} ranks; set sampler.round_up=True.")
        if self._pass_length() == 0:
            raise ValueError(EMPTY)
        check_batch(self._pass_length(), batch_size, drop_last and not cycle)

    def _pass_length(self) -> int:
        """Images of one pass on this rank."""
        if isinstance(self.sampler, InfiniteSampler):  # its length is the whole data set's
            return math.ceil(self.sampler.size / self.sampler.world_size)
        return len(self.sampler)

    def __len__(self) -> int:
        """Batches of one pass."""
        rounding = math.floor if self.drop_last and not self.cycle else math.ceil
        return rounding(self._pass_length() / self.batch_size)

    @property
    def smallest_batch(self) -> int:
        """Images of a pass's last batch."""
        if self.cycle or self.drop_last:
            return self.batch_size
        return self._pass_length() % self.batch_size or self.batch_size

    def seek(self, num_batches: int) -> None:
        """Start the next iteration after ``num_batches`` batches, counted from the beginning of training."""
        self._first_batch = num_batches

    def __iter__(self) -> Iterator[list[StreamIndex]]:
        """Yield batches for ever."""
        batches = self._cycled_batches() if self.cycle else self._pass_batches()
        for number, batch in enumerate(islice(batches, self._first_batch, None), self._first_batch):
            yield [StreamIndex(index, number * self.batch_size + place) for place, index in enumerate(batch)]

    def _passes(self) -> Iterator[list[int]]:
        """Yield the indices of pass after pass."""
        infinite = iter(self.sampler) if isinstance(self.sampler, InfiniteSampler) else None
        for epoch in count():
            if infinite is not None:
                indices = list(islice(infinite, self._pass_length()))
                if not indices:
                    raise RuntimeError("mmengine's InfiniteSampler can be iterated once: build another loader.")
                yield indices
                continue
            if hasattr(self.sampler, "set_epoch"):
                self.sampler.set_epoch(epoch)
            yield list(self.sampler)

    def _pass_batches(self) -> Iterator[list[int]]:
        for indices in self._passes():
            for batch in range(len(self)):
                yield indices[batch * self.batch_size : (batch + 1) * self.batch_size]

    def _cycled_batches(self) -> Iterator[list[int]]:
        stream = (index for indices in self._passes() for index in indices)
        while True:
            yield list(islice(stream, self.batch_size))
