"""Every image and mask of some datasets, read once as training would read them, by several processes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from mmseg_allspark.environment import usable_cpus
from mmseg_allspark.utils.images import loads_8bit

from .parts import iter_leaves
from .transforms.decoding import DataFileError, read_bytes
from .transforms.loading import IMAGE_KEYS, LoadImage, LoadSegMask
from .transforms.pseudo_labels import LoadPseudoLabel, find_label

_GREY_LEVELS = 64  # of 256; an image of 16 bit that has fewer in 8 bit has lost what tells things apart
_COLORS_OF_MASKS = 32  # photographs have more in each channel
_PER_TASK = 16  # samples a process takes at a time
_SAMPLES_PER_PIXEL, _SUBFILE_TYPE = 277, 254  # tags of TIFF; bits of the second: 0, a smaller copy, and 2, a mask


@dataclass(frozen=True)
class Problem:
    """What is wrong with one file."""

    kind: str  # as of DataFileError, or, which are warnings, depth (few grey levels in 8 bit), channels, pages (lost)
    what: str  # 'image', 'mask' or 'label file' (of an unlabeled image)
    path: str
    message: str  # what the loader says, with values and remedy

    @property
    def level(self) -> str:
        """'error', or 'warning' where the file can be used all the same."""
        return "warning" if self.kind in ("depth", "channels", "pages") else "error"


@dataclass(frozen=True)
class Inspection:
    """What was found out about one sample; as much as was looked at."""

    image: str  # path
    mask: str | None = None  # path
    content: bytes | None = None  # hash of the image file's bytes
    pixels: bytes | None = None  # hash of size and decoded pixels
    counts: np.ndarray | None = None  # (256,) pixels per training label
    few_colors: bool = False  # as few as a mask has
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether image and mask can be used."""
        return all(problem.level == "warning" for problem in self.problems)


class SampleReader:
    """Reads the samples of one dataset (no wrapper) with the settings of its pipeline.

    Samples may need a mask; else one is read where the pipeline loads masks and it exists.
    """

    def __init__(self, dataset: Any, needs_masks: bool) -> None:
        image, mask = (_find_step(dataset, kind) for kind in (LoadImageFromFile, LoadAnnotations))
        keys = ("to_float32", "color_type", "imdecode_backend", "backend_args")
        self._images = LoadImage(**{key: getattr(image, key) for key in keys if image is not None})
        keys = ("num_classes", "ignore_index", "drawn_on", "reduce_zero_label", "backend_args")
        own = dict(ignore_index=getattr(dataset, "ignore_index", 255))
        self._masks = LoadSegMask(**(own | {key: getattr(mask, key) for key in keys if hasattr(mask, key)}))
        self._needs_masks, self._loads_masks = needs_masks, mask is not None
        self._labels = _find_step(dataset, LoadPseudoLabel)
        classes = (getattr(dataset, "metainfo", None) or {}).get("classes")
        self._num_classes = len(classes) if classes else None

    def read(self, info: Mapping) -> Inspection:
        """Read the sample of a record of ``get_data_info``; files that cannot be used are problems, no exceptions."""
        info = {"num_classes": self._num_classes, **info}
        path, mask = str(info["img_path"]), info.get("seg_map_path")
        problems: list[Problem] = []
        found: dict[str, Any] = {}
        try:
            content = read_bytes(path, "image", IMAGE_KEYS, self._images.backend_args)
            found["content"] = hash_bytes(content)
            image = self._images.decode_into(info, content).pop("img")
            found["pixels"] = hash_bytes(repr(image.shape).encode() + image.tobytes())
            found["few_colors"] = len(np.unique(_some_pixels(image)[:, 0])) <= _COLORS_OF_MASKS
            problems += self._find_losses(path, content, image)
        except DataFileError as error:
            problems.append(Problem(error.kind, "image", path, str(error)))
        try:
            found["counts"] = self._count_labels(info)
        except ValueError as error:  # one that is no DataFileError is about reduce_zero_label
            problems.append(Problem(getattr(error, "kind", "labels"), "mask", str(mask or path), str(error)))
        problems += self._find_in_label_files(info)
        return Inspection(path, mask, problems=tuple(problems), **found)

    def _find_in_label_files(self, info: dict) -> Iterator[Problem]:
        """What is wrong with the files that ``LoadPseudoLabel`` would read."""
        for key, (folder, _) in self._labels.sources.items() if self._labels else ():
            try:
                self._labels.read(key, info)
            except ValueError as error:
                path = str(find_label(folder, info["img_path"]))
                yield Problem(getattr(error, "kind", "labels"), "label file", path, str(error))

    def _count_labels(self, info: dict) -> np.ndarray | None:
        path = info.get("seg_map_path")
        if not self._needs_masks:
            known = self._loads_masks and path is not None
            if not known or not fileio.exists(path, backend_args=self._masks.backend_args):
                return None
        return np.bincount(self._masks.read_labels(info).ravel(), minlength=256)

    def _find_losses(self, path: str, content: bytes, image: np.ndarray) -> Iterator[Problem]:
        """What is in an image's file and not in what the loader gives."""
        if self._images.imdecode_backend == "tifffile":  # gives all channels and stacks pages of one size
            return
        if (pages := _count_pages(content)) > 1:
            yield Problem("pages", "image", path, f"The image {path} has {pages} pages; the first is read.")
        if channels := self._find_lost_channels(content, image):
            text = "The image {} has {} channels, of which the pipeline reads {}.".format(path, *channels)
            yield Problem("channels", "image", path, text)
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

    def _find_lost_channels(self, content: bytes, image: np.ndarray) -> tuple[int, int] | None:
        """Channels stored and read where some are lost; an alpha channel without transparency is no loss."""
        with Image.open(io.BytesIO(content)) as opened:  # opens some TIFFs as if they had fewer
            bands = len(opened.getbands()) if opened.mode != "CMYK" else 3  # of which decoders make RGB
            is_tiff = opened.format == "TIFF" and opened.mode != "CMYK"
            stored = int(opened.tag_v2.get(_SAMPLES_PER_PIXEL, 1)) if is_tiff else bands
        given = image.shape[2] if image.ndim == 3 else 1
        if stored in (1, 3) or (given >= stored and not loads_8bit(vars(self._images))):
            return None
        whole = mmcv.imfrombytes(content, flag="unchanged", backend="cv2")
        extra = whole[..., 3:] if whole is not None and whole.ndim == 3 else np.empty(0)
        if extra.size and (extra == np.iinfo(extra.dtype).max).all():
            return None
        return stored, min(given, 3 if stored > 3 else 1)


def _count_pages(content: bytes) -> int:
    """Pages of a TIFF without the smaller copies and masks that it may hold, or frames of an animation."""
    pages = 0
    try:
        with Image.open(io.BytesIO(content)) as image:
            # beside the photograph of an MPO there are others, such as one of less exposure
            for page in range(getattr(image, "n_frames", 1) if image.format != "MPO" else 1):
                image.seek(page)
                pages += image.format != "TIFF" or not image.tag_v2.get(_SUBFILE_TYPE, 0) & 5
    except Exception:  # damage behind the first page, which is well
        return max(pages, 1)
    return pages


def _some_pixels(image: np.ndarray) -> np.ndarray:
    """At most 20 000 pixels from all over an image, (N, C)."""
    pixels = image.reshape(image.shape[0] * image.shape[1], -1)
    return pixels[:: len(pixels) // 10_000 + 1]


def hash_bytes(content: bytes) -> bytes:
    """Return the hash by which equal content is told."""
    return hashlib.blake2b(content, digest_size=16).digest()


def _find_step(dataset: Any, kind: type) -> Any | None:
    """The first step of a kind in the pipeline of a dataset or of what it wraps; pseudo labels are no masks."""
    while hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    steps = getattr(getattr(dataset, "pipeline", None), "transforms", ())
    found = (step for step in steps if isinstance(step, kind))
    return next((step for step in found if kind is LoadPseudoLabel or not isinstance(step, LoadPseudoLabel)), None)


def inspect_samples(
    datasets: Mapping[str, Any],
    with_masks: Sequence[str],
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, list[Inspection]]:
    """Reads every sample of some datasets, perhaps wrapped, by name; what was found is in their order.

    Samples of those named in ``with_masks`` need masks. ``progress`` is called with samples done and samples in all.
    """
    readers, infos, names = [], [], []
    for name, dataset in datasets.items():
        for leaf in iter_leaves(dataset):
            if hasattr(leaf, "full_init"):
                leaf.full_init()
            readers += [SampleReader(leaf, name in with_masks)] * len(leaf)
            infos += map(leaf.get_data_info, range(len(leaf)))
            names += [name] * len(leaf)
    found: dict[str, list[Inspection]] = {name: [] for name in datasets}
    for done, (name, inspection) in enumerate(zip(names, _read(readers, infos, workers), strict=True), start=1):
        found[name].append(inspection)
        if progress is not None:
            progress(done, len(names))
    return found


def _read(readers: Sequence[SampleReader], infos: Sequence[Mapping], workers: int | None) -> Iterator[Inspection]:
    workers = workers or usable_cpus()
    if workers == 1 or len(infos) <= _PER_TASK:
        yield from map(SampleReader.read, readers, infos)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(SampleReader.read, readers, infos, chunksize=_PER_TASK)
