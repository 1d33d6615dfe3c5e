"""A loader of endless batches whose samples are drawn with random numbers of their position in the stream."""

import copy
from typing import Any

from mmengine.dist import get_rank
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset

from mmseg_allspark.datasets.checks import iter_leaves
from mmseg_allspark.datasets.transforms import LoadImage
from mmseg_allspark.engine.batch_stream import EMPTY, StreamBatchSampler
from mmseg_allspark.engine.randomness import RandomStream

_OWN = ("dataset", "random_stream")


class SeededDataset(Dataset):
    """A data set whose augmentations depend on a sample's position in the stream and on nothing else.

    So they are the same after a resume and with any number of workers. Python's, numpy's and torch's global generators
    are seeded for the time of a sample; a transform with a generator of its own is left alone. Everything but
    indexing is the wrapped data set's: attributes are read from it and set on it.

    Args:
        dataset: The data set or its config.
        random_stream: Seeds by position; an index without position (see :class:`StreamIndex`) is passed on as it is.
    """

    def __init__(self, dataset: dict | Dataset, random_stream: RandomStream) -> None:
        self.random_stream = random_stream
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset

    def __getitem__(self, index: int) -> Any:
        position = getattr(index, "position", None)
        if position is None:
            return self.dataset[index]
        with self.random_stream.seeded_sample(position):
            return self.dataset[int(index)]

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


def build_stream(runner: Runner, cfg: dict, key: str) -> DataLoader:
    """Build a loader whose batches never end.

    Args:
        runner: The runner.
        cfg: Config of the loader.
        key: Where it stands in the config: ``'train_dataloader'``, the images of which are cycled, or
            ``'unlabeled_dataloader'``.

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
            f"{key}.batch_sampler={cfg['batch_sampler']} is not supported: PseudoLabelLoop brings its own, which "
            "a resumed run can move to its position. Give batch_size, drop_last and sampler instead."
        )
    if "dataset" not in cfg:
        raise KeyError(f"{key}.dataset is missing: give the config of the data set.")
    cfg = copy.deepcopy(cfg)
    labeled = key == "train_dataloader"
    cfg["batch_sampler"] = dict(type=StreamBatchSampler, drop_last=cfg.pop("drop_last", False), cycle=labeled)
    stream = RandomStream("labeled" if labeled else "unlabeled", runner.seed, get_rank())
    cfg["dataset"] = dict(type=SeededDataset, dataset=cfg["dataset"], random_stream=stream)
    diff_rank_seed = runner._randomness_cfg.get("diff_rank_seed", False)
    try:
        loader = runner.build_dataloader(cfg, seed=runner.seed, diff_rank_seed=diff_rank_seed)
    except (TypeError, ValueError) as error:
        # what numpy says when mmengine's data sets have no image
        why = EMPTY if "need at least one array to concatenate" in str(error) else error
        raise type(error)(f"{key}: {why}") from error
    if not labeled:
        _skip_unreadable(loader.dataset)
    return loader


def _skip_unreadable(dataset: Dataset) -> None:
    """Let unlabeled images that cannot be read be skipped where neither data set nor transform says otherwise."""
    for leaf in iter_leaves(dataset):
        for step in getattr(leaf.pipeline, "transforms", ()):
            if isinstance(step, LoadImage) and step.unreadable is None and not hasattr(leaf, "unreadable"):
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
