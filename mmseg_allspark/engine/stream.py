"""Batches without end that can start anywhere, and their loader, whose random numbers follow from the position."""

import copy
import math
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank, get_world_size
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from mmseg_allspark.datasets.checks import iter_leaves
from mmseg_allspark.datasets.setting_checks import check_batch
from mmseg_allspark.datasets.transforms import LoadImage
from mmseg_allspark.engine.randomness import RandomStream
from mmseg_allspark.utils.checks import check_positive_int

_EMPTY = "the data set is empty; check its ann_file, data_prefix and data_root."
_OWN = ("dataset", "random_stream")  # attributes of SeededDataset


class StreamBatchSampler(BatchSampler):
    """Endless batches over a finite or infinite sampler; its length is the batches of one pass.

    The data loader on top never ends, so its workers are started once, and a resumed run moves to its
    position by :meth:`seek`, without reading data. It yields (index, position) pairs: what is random about a sample may
    depend on its position, counted from the beginning of training.

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
            raise ValueError(_EMPTY)
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

    @property
    def most_images(self) -> int:
        """Different images that a batch has at most."""
        return min(self.batch_size, len(self.sampler.dataset) if self.cycle else self._pass_length())

    def seek(self, num_batches: int) -> None:
        """Start the next iteration after ``num_batches`` batches, counted from the beginning of training."""
        self._first_batch = num_batches

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Yield batches for ever."""
        batches = self._cycled_batches() if self.cycle else self._pass_batches()
        for number, batch in enumerate(islice(batches, self._first_batch, None), self._first_batch):
            yield [(index, number * self.batch_size + place) for place, index in enumerate(batch)]

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


class SeededDataset(Dataset):
    """A data set whose augmentations depend on a sample's position in the stream and on nothing else.

    So they are the same after a resume and with any number of workers. Python's, numpy's and torch's global generators
    are seeded for the time of a sample; a transform with a generator of its own is left alone. Everything but
    indexing is the wrapped data set's: attributes are read from it and set on it.

    Args:
        dataset: The data set or its config.
        random_stream: Seeds by position; an index without position is passed on as it is.
    """

    def __init__(self, dataset: dict | Dataset, random_stream: RandomStream) -> None:
        self.random_stream = random_stream
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset

    def __getitem__(self, index: int | tuple[int, int]) -> Any:
        if not isinstance(index, tuple):
            return self.dataset[index]
        index, position = index
        with self.random_stream.seeded_sample(position):
            return self.dataset[index]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        # not __getitems__, which would go round the seeding; not what is asked of a copy before it has its attributes
        if name.startswith("__") or name in _OWN:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            object.__setattr__(self, name, value)
        else:
            setattr(self.dataset, name, value)


def build_stream(runner: Runner, cfg: dict, key: str, cycle: bool = False, hold_out: bool = False) -> DataLoader:
    """Build a loader whose batches never end.

    Args:
        runner: The runner.
        cfg: Config of the loader.
        key: Where it stands in the config: ``'train_dataloader'`` or ``'unlabeled_dataloader'``.
        cycle: As in :class:`StreamBatchSampler`. Default False.
        hold_out: Leave out the images that a hook holds out (``PseudoLabelReliabilityHook``). Default False.

    Returns:
        The loader; its batch sampler is a :class:`StreamBatchSampler`, its data set a :class:`SeededDataset`. Unlabeled
        images that cannot be read are skipped unless their ``LoadImage`` says ``unreadable='stop'``.

    Raises:
        TypeError: If ``cfg`` is not a dict, or something in it has a wrong type.
        KeyError: If it has no data set.
        ValueError: If it has a batch sampler, or its data set has no image.
    """
    if not isinstance(cfg, dict):
        raise TypeError(f"{key} must be a config dict, got {type(cfg).__name__}.")
    if cfg.get("batch_sampler") is not None:
        raise ValueError(
            f"{key}.batch_sampler={cfg['batch_sampler']} is not supported: the loop brings its own, which "
            "a resumed run can move to its position. Give batch_size, drop_last and sampler instead."
        )
    if "dataset" not in cfg:
        raise KeyError(f"{key}.dataset is missing: give the config of the data set.")
    if runner._randomness_cfg.get("diff_rank_seed"):
        raise ValueError("randomness.diff_rank_seed=True: leave it out, ranks differ already, and a resume is exact.")
    cfg = copy.deepcopy(cfg)
    labeled = key == "train_dataloader"
    cfg["batch_sampler"] = dict(type=StreamBatchSampler, drop_last=cfg.pop("drop_last", False), cycle=cycle)
    stream = RandomStream("labeled" if labeled else "unlabeled", runner.seed, get_rank())
    try:
        dataset = _divide(cfg["dataset"], runner) if hold_out else cfg["dataset"]
        cfg["dataset"] = dict(type=SeededDataset, dataset=dataset, random_stream=stream)
        loader = runner.build_dataloader(cfg, seed=runner.seed)
    except (TypeError, ValueError) as error:
        # what numpy says when mmengine's data sets have no image
        why = _EMPTY if "need at least one array to concatenate" in str(error) else error
        raise type(error)(f"{key}: {why}") from error
    if not labeled:
        _skip_unreadable(loader.dataset)
    return loader


def _divide(dataset: dict, runner: Runner) -> dict | Dataset:
    """The data set without the images that hooks hold out."""
    hooks = [hook for hook in runner.hooks if hasattr(hook, "hold_out")]
    built = DATASETS.build(dataset) if hooks else dataset
    for hook in hooks:
        hook.hold_out(built)
    return built


def _skip_unreadable(dataset: Dataset) -> None:
    """Let unlabeled images that cannot be read be skipped, unless ``LoadImage`` says otherwise."""
    for leaf in iter_leaves(dataset):
        for step in getattr(leaf.pipeline, "transforms", ()):
            if isinstance(step, LoadImage) and step.unreadable is None:
                step.unreadable = "skip"


def seek_stream(loader: DataLoader, num_batches: int, seed: int, first_seed: int) -> None:
    """Move a stream to a position, in the order and with the augmentations that a seed gives.

    Args:
        loader: Of :func:`build_stream`.
        num_batches: Batches before the position, counted from the beginning of training.
        seed: The run's seed now.
        first_seed: The run's seed when the loader was built; a sampler with another one keeps it.
    """
    sampler = loader.batch_sampler.sampler
    if getattr(sampler, "seed", None) == first_seed:
        sampler.seed = seed
    loader.dataset.random_stream.seed = seed
    loader.batch_sampler.seek(num_batches)
