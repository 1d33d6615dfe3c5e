"""Every image and mask of some datasets, read once as training would read them, by several processes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations

from mmseg_allspark.utils.images import loads_8bit

from .checks import iter_leaves
from .transforms.decoding import DataFileError, count_channels, count_pages, is_complete, read_bytes
from .transforms.loading import IMAGE_KEYS, LoadImage, LoadSegMask

LABELS = 256
_GREY_LEVELS = 64  # of 256; an image of 16 bit that has fewer in 8 bit has lost what tells things apart
_COLORS_OF_MASKS = 32  # photographs have more in each channel
_PER_TASK = 16  # samples a process takes at a time
_IGNORE = 255
_readers: Sequence[SampleReader] = ()  # of this worker process


@dataclass(frozen=True)
class Problem:
    """What is wrong with one file.

    Attributes:
        kind: 'missing', 'unreadable', 'truncated', 'size', 'labels', 'pairing' (no mask is named), or, which are
            warnings, 'depth' (few grey levels are left in 8 bit), 'channels' or 'pages' (not all are read).
        what: 'image' or 'mask'.
        path: The file.
        message: What the loader says, with values and remedy.
    """

    kind: str
    what: str
    path: str
    message: str

    @property
    def level(self) -> str:
        """'error', or 'warning' where the file can be used all the same."""
        return "warning" if self.kind in ("depth", "channels", "pages") else "error"


@dataclass(frozen=True)
class Inspection:
    """What was found out about one sample.

    Attributes:
        image: Path of the image.
        content: Hash of the file's bytes; None if it could not be read.
        pixels: Hash of size and decoded pixels; None if it could not be decoded.
        counts: (256,) pixels per training label; None without a usable mask.
        few_colors: Whether the image has as few colours as a mask.
        problems: What is wrong.
    """

    image: str
    content: bytes | None
    pixels: bytes | None
    counts: np.ndarray | None
    few_colors: bool
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether image and mask can be used."""
        return all(problem.level == "warning" for problem in self.problems)


class _Broken(Exception):
    """Carries a problem up to the sample."""

    def __init__(self, kind: str, what: str, path: str, message: object) -> None:
        super().__init__(message)
        self.problem = Problem(kind, what, path, str(message))


class _MaskReader(LoadSegMask):
    """Loads a mask and says at which step it failed."""

    def read(self, info: dict) -> np.ndarray:
        path = str(info["seg_map_path"])
        steps: tuple[tuple[str, Callable], ...] = (
            ("unreadable", lambda _: self._decode_mask(path, info)),
            ("size", lambda mask: self._check_size(mask, path, info) or mask),
            ("labels", lambda mask: self._to_train_ids(mask, path, info)),
            ("labels", lambda labels: self._check_labels(labels, path, info) or labels),
        )
        value = None
        for kind, step in steps:
            try:
                value = step(value)
            except ValueError as error:
                missing = isinstance(error.__cause__, FileNotFoundError)
                raise _Broken("missing" if missing else kind, "mask", path, error) from error
        return value


class SampleReader:
    """Reads the samples of one dataset with the settings of its pipeline.

    Args:
        dataset: A BaseSegDataset or alike (no wrapper).
        masks: Whether samples need a mask. False: a mask is read where the pipeline loads one and the file exists.
    """

    def __init__(self, dataset: Any, masks: bool) -> None:
        image, mask = (_find_step(dataset, kind) for kind in (LoadImageFromFile, LoadAnnotations))
        keys = ("to_float32", "color_type", "imdecode_backend", "backend_args")
        self._images = LoadImage(**{key: getattr(image, key) for key in keys if image is not None})
        keys = ("num_classes", "ignore_index", "drawn_on", "reduce_zero_label", "imdecode_backend", "backend_args")
        own = {key: getattr(mask, key) for key in keys if hasattr(mask, key)}
        self._masks = _MaskReader(**({"ignore_index": getattr(dataset, "ignore_index", _IGNORE)} | own))
        self._needs_mask, self._loads_mask = masks, masks or mask is not None
        self._classes = (getattr(dataset, "metainfo", None) or {}).get("classes")

    def read(self, info: Mapping) -> Inspection:
        """Reads one sample.

        Args:
            info: The sample's record from ``get_data_info``.

        Returns:
            What was found; files that cannot be used are problems and no exceptions.
        """
        info = dict(info)
        if self._classes:
            info.setdefault("num_classes", len(self._classes))
        problems: list[Problem] = []

        def attempt(step: Callable, *found: object) -> Any | None:
            try:
                return step(info, *found)
            except _Broken as broken:
                problems.append(broken.problem)
                return None

        path = str(info["img_path"])
        content = attempt(self._read_bytes)
        image = None if content is None else attempt(self._read_image, content)
        counts = attempt(self._read_mask)
        if image is None:
            return Inspection(path, None if content is None else _digest(content), None, counts, False, tuple(problems))
        pixels = _digest(repr(image.shape).encode() + image.tobytes())
        problems += self._find_losses(path, content, image)
        few_colors = len(np.unique(_some_pixels(image)[:, 0])) <= _COLORS_OF_MASKS
        return Inspection(path, _digest(content), pixels, counts, few_colors, tuple(problems))

    def _read_bytes(self, info: dict) -> bytes:
        path = str(info["img_path"])
        try:
            return read_bytes(path, "image", IMAGE_KEYS, self._images.backend_args)
        except DataFileError as error:
            missing, empty = isinstance(error.__cause__, FileNotFoundError), "is empty" in str(error)
            kind = "missing" if missing else "truncated" if empty else "unreadable"
            raise _Broken(kind, "image", path, error) from error

    def _read_image(self, info: dict, content: bytes) -> np.ndarray:
        path, complete = str(info["img_path"]), is_complete(content)
        try:
            self._images.decode_into(info, content, path)
        except DataFileError as error:
            raise _Broken("unreadable" if complete else "truncated", "image", path, error) from error
        return info.pop("img")

    def _find_losses(self, path: str, content: bytes, image: np.ndarray) -> Iterator[Problem]:
        """What is in an image's file and not in what the loader gives, some of whose pixels are looked at."""
        if (pages := count_pages(content)) > 1:
            by_tifffile = self._images.imdecode_backend == "tifffile"  # it stacks pages of one size
            what = f"an array of shape {image.shape}" if by_tifffile else "the first"
            yield Problem("pages", "image", path, f"The image {path} has {pages} pages; {what} is read.")
        yield from self._find_lost_channels(path, content, image)
        low, high = np.percentile(_some_pixels(image), (1, 99))
        if not loads_8bit(vars(self._images)) or high - low >= _GREY_LEVELS:
            return
        stored = mmcv.imfrombytes(content, flag="unchanged", backend="cv2")
        if stored is not None and stored.dtype == np.uint16:
            low16, high16 = np.percentile(stored, (1, 99))
            text = (
                f"The image {path} has 16 bits, but its values ({low16:.0f} to {high16:.0f}, without the outermost "
                f"2 %) use {(high16 - low16) / 65535:.0%} of the range. In the 8 bits that are read, "
                f"{high - low + 1:.0f} grey levels remain."
            )
            yield Problem("depth", "image", path, text)

    def _find_lost_channels(self, path: str, content: bytes, image: np.ndarray) -> Iterator[Problem]:
        """Channels beside grey or colour that are not given; an alpha channel without transparency is no loss."""
        if self._images.imdecode_backend == "tifffile":
            return  # gives all
        stored, given = count_channels(content), image.shape[2] if image.ndim == 3 else 1
        if stored in (1, 3) or (given >= stored and not loads_8bit(vars(self._images))):
            return
        whole = mmcv.imfrombytes(content, flag="unchanged", backend="cv2")
        extra = whole[..., 3:] if whole is not None and whole.ndim == 3 else np.empty(0)
        if extra.size and (extra == np.iinfo(extra.dtype).max).all():
            return
        read = min(given, 3 if stored > 3 else 1)
        text = f"The image {path} has {stored} channels, of which the pipeline reads {read}."
        yield Problem("channels", "image", path, text)

    def _read_mask(self, info: dict) -> np.ndarray | None:
        path = info.get("seg_map_path")
        if not self._needs_mask:
            known = self._loads_mask and path is not None
            if not known or not fileio.exists(path, backend_args=self._masks.backend_args):
                return None
        elif path is None:
            raise _Broken("pairing", "mask", str(info["img_path"]), f"No mask is known for {info['img_path']}.")
        return np.bincount(self._masks.read(info).ravel(), minlength=LABELS)


def _some_pixels(image: np.ndarray) -> np.ndarray:
    """At most 20 000 pixels from all over an image, (N, C)."""
    pixels = image.reshape(image.shape[0] * image.shape[1], -1)
    return pixels[:: len(pixels) // 10_000 + 1]


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _find_step(dataset: Any, kind: type) -> Any | None:
    """The first step of a kind in the pipeline of a dataset or of what it wraps."""
    while hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    steps = getattr(getattr(dataset, "pipeline", None), "transforms", ())
    return next((step for step in steps if isinstance(step, kind)), None)


def _set_readers(readers: Sequence[SampleReader]) -> None:
    global _readers
    _readers = readers


def _read(task: tuple[int, dict]) -> Inspection:
    reader, info = task
    return _readers[reader].read(info)


def inspect_samples(
    datasets: Mapping[str, Any],
    with_masks: Sequence[str],
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, list[Inspection]]:
    """Reads every sample of some datasets.

    Args:
        datasets: Dataset, perhaps wrapped, by name.
        with_masks: Names of those whose samples need masks.
        workers: Processes; 1 reads in this one. Default: as many as CPUs may be used.
        progress: Called with samples done and samples in all.

    Returns:
        The findings of each dataset, in its order.
    """
    readers, tasks, names = [], [], []
    for name, dataset in datasets.items():
        for leaf in iter_leaves(dataset):
            if hasattr(leaf, "full_init"):
                leaf.full_init()
            tasks += [(len(readers), leaf.get_data_info(index)) for index in range(len(leaf))]
            names += [name] * len(leaf)
            readers.append(SampleReader(leaf, name in with_masks))
    found: dict[str, list[Inspection]] = {name: [] for name in datasets}
    for done, (name, inspection) in enumerate(zip(names, _map(readers, tasks, workers), strict=True), start=1):
        found[name].append(inspection)
        if progress is not None:
            progress(done, len(tasks))
    return found


def _map(readers: Sequence[SampleReader], tasks: Sequence[tuple], workers: int | None) -> Iterator[Inspection]:
    workers = workers or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else [0] * os.cpu_count())
    if workers == 1 or len(tasks) <= _PER_TASK:
        _set_readers(readers)
        yield from map(_read, tasks)
        return
    with ProcessPoolExecutor(workers, initializer=_set_readers, initargs=(readers,)) as pool:
        yield from pool.map(_read, tasks, chunksize=_PER_TASK)
