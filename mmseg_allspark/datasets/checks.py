"""Checks across datasets, to be run before training starts."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from mmseg.datasets.transforms import LoadAnnotations

from .transforms.decoding import explain_missing

_NAMED = 3  # how many offending files a message names
# of mmseg, mmcv, mmpretrain and ours; what is not random (CLAHE) is the same in validation
_RANDOM_COLOURS = {
    "BioMedicalGaussianBlur",
    "BioMedicalGaussianNoise",
    "BioMedicalRandomGamma",
    "ColorJitter",
    "GaussianBlur",
    "Lighting",
    "PhotoMetricDistortion",
    "RandomGrayscale",
    "_RandomColor",  # RandomColorJitter, RandomGray, RandomGaussianBlur
}


class SplitError(ValueError):
    """The lists of a semi-supervised training do not fit together; the message names the files."""


class SampleFiles(NamedTuple):
    """The files of one sample."""

    image: str
    mask: str | None


def require_prepared(dataset: Any, name: str, tool: str) -> None:
    """Raise if the image folder or the list of a data set that a tool of ours prepares is not there.

    Args:
        dataset: A BaseSegDataset.
        name: Of the data set, for the message.
        tool: The script that makes it.

    Raises:
        FileNotFoundError: Naming the path, the tool and the arguments that may be wrong.
    """
    for what, path in (("image folder", dataset.data_prefix["img_path"]), ("list", dataset.ann_file or ".")):
        if not os.path.exists(path):
            raise FileNotFoundError(
                f"The {name} {what} {path} does not exist. Make it with `python {tool}`, or correct `data_root`, "
                "`data_prefix` or `ann_file` of the dataset."
            )


def require_images(dataset: Any, name: str, data_list: list[dict]) -> list[dict]:
    """Return the records of a data set, or raise where mmengine would say "need at least one array to concatenate".

    Args:
        dataset: A BaseSegDataset.
        name: Of the data set, for the message.
        data_list: Its records.

    Raises:
        ValueError: If there is none.
    """
    if data_list:
        return data_list
    folder = dataset.data_prefix["img_path"]
    why = f"the list {dataset.ann_file} is empty"
    why = why if dataset.ann_file else f"{folder} holds no file ending in {dataset.img_suffix}"
    raise ValueError(f"The {name} data set has no image: {why}.")


def iter_leaves(dataset: Any) -> Iterator[Any]:
    """Yield the datasets inside ConcatDataset, RepeatDataset and the like."""
    if hasattr(dataset, "datasets"):
        for part in dataset.datasets:
            yield from iter_leaves(part)
    elif hasattr(dataset, "get_data_info") and hasattr(dataset, "pipeline"):
        yield dataset
    elif hasattr(dataset, "dataset"):
        yield from iter_leaves(dataset.dataset)
    elif hasattr(dataset, "get_data_info"):
        yield dataset
    else:
        raise TypeError(f"{type(dataset).__name__} has no get_data_info: give a BaseSegDataset or a wrapper of such.")


def list_files(dataset: Any) -> list[SampleFiles]:
    """Image and mask paths of a dataset, without loading an image.

    Args:
        dataset: A BaseSegDataset or alike, perhaps inside ConcatDataset or RepeatDataset.

    Returns:
        One entry a sample; the mask is None where the dataset names none.
    """
    files = []
    for leaf in iter_leaves(dataset):
        if hasattr(leaf, "full_init"):
            leaf.full_init()
        for index in range(len(leaf)):
            info = leaf.get_data_info(index)
            files.append(SampleFiles(info["img_path"], info.get("seg_map_path")))
    return files


def _is_remote(path: str) -> bool:
    return "://" in path


@lru_cache(maxsize=4096)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def _resolve(path: str) -> str:
    """As os.path.realpath, but a folder is resolved once and not for each of its files."""
    if _is_remote(path):
        return path
    if os.path.islink(path):
        return os.path.realpath(path)
    return os.path.join(_real_folder(os.path.dirname(path)), os.path.basename(path))


def _by_stem(images: Sequence[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for image in images:
        groups.setdefault(os.path.splitext(os.path.basename(image))[0], []).append(image)
    return groups


def _same_content(first: str, second: str) -> bool:
    try:
        return filecmp.cmp(first, second, shallow=False)  # sizes are compared before any content
    except OSError:  # a missing file is reported elsewhere, a remote one cannot be compared
        return False


def find_overlap(first: Sequence[str], second: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of images that are the same: same file, or same id (file stem) and same content.

    Equal ids alone are no overlap: many data sets number each folder from 0.

    Args:
        first: Image paths.
        second: Image paths.

    Returns:
        Pairs (path of first, path of second).
    """
    resolved = {_resolve(path): path for path in first}
    pairs = [(resolved[real], path) for path in second if (real := _resolve(path)) in resolved]
    taken = {path for _, path in pairs}
    stems = _by_stem(first)
    for stem, images in _by_stem([path for path in second if path not in taken]).items():
        for image in images:
            twin = next((other for other in stems.get(stem, []) if _same_content(other, image)), None)
            if twin is not None:
                pairs.append((twin, image))
    return pairs


def _check_present(name: str, what: str, paths: Sequence[str], keys: str) -> None:
    missing = [path for path in paths if not _is_remote(path) and not os.path.isfile(path)]
    if missing:
        why = next(filter(None, map(explain_missing, missing)), "")
        raise FileNotFoundError(
            f"{len(missing)} of {len(paths)} {what}s of the {name} data do not exist, first: "
            f"{missing[:_NAMED]}{why}. Check {keys} of the {name} dataset."
        )


def check_pipeline(name: str, dataset: Any) -> None:
    """Raise if a pipeline would use images or masks in a way that its data set is not for.

    Args:
        name: 'labeled', 'unlabeled' or 'validation'.
        dataset: A BaseSegDataset or alike, perhaps inside ConcatDataset or RepeatDataset.

    Raises:
        SplitError: If labeled images that cannot be read would be skipped, masks of unlabeled images would choose the
            crops, or a mask is looked for where there is none.
    """
    for step in _iter_steps(dataset):
        if name == "unlabeled":
            _check_unlabeled_step(step)
        elif getattr(step, "unreadable", None) == "skip":
            raise SplitError(
                f"The pipeline of the {name} data has {type(step).__name__}(unreadable='skip'), which is for "
                "unlabeled images: leave it out there."
            )


def _iter_steps(dataset: Any) -> Iterator[object]:
    """Yield the steps of all pipelines, inside RandomApply, RandomChoice and the like, too."""
    steps = [getattr(leaf, "pipeline", None) for leaf in iter_leaves(dataset)]
    while steps:
        yield (step := steps.pop())
        steps += getattr(step, "transforms", ())


def describe_distortion(unlabeled: Any) -> str | None:
    """Say so if pseudo labels would come from images with changed colours.

    Args:
        unlabeled: A BaseSegDataset or alike, perhaps inside ConcatDataset or RepeatDataset.

    Returns:
        What is in the pipeline and what to do; None where no step before or after ``MultiView`` changes colours.
    """
    kinds = {type(step) for step in _iter_steps(unlabeled)}
    kinds = {kind.__name__ for kind in kinds if _RANDOM_COLOURS & {base.__name__ for base in kind.__mro__}}
    if not kinds:
        return None
    return (
        f"The unlabeled pipeline has {', '.join(sorted(kinds))} outside of MultiView: pseudo labels will come from "
        "images with changed colours, as in GuidedMix-Net's release. For other methods remove it, or move it to "
        "MultiView(views=dict(weak=[], strong=[...])) (unlabeled_dataloader.dataset.pipeline)."
    )


def _check_unlabeled_step(step: object) -> None:
    ratio = getattr(step, "cat_max_ratio", 1.0)
    if ratio < 1.0:
        raise SplitError(
            f"The unlabeled pipeline has {type(step).__name__}(cat_max_ratio={ratio}), which looks at masks to "
            "choose a crop: set cat_max_ratio=1.0 there (unlabeled_dataloader.dataset.pipeline)."
        )
    if type(step) is LoadAnnotations:
        raise SplitError(
            "The unlabeled pipeline has LoadAnnotations, which needs a mask for every image: remove it, or "
            "use LoadSegMask(optional=True) for the agreement statistic."
        )


def _check_files(name: str, files: Sequence[SampleFiles], with_masks: bool) -> None:
    if not files:
        raise SplitError(f"The {name} data set is empty: check `ann_file`, `data_prefix` and `data_root` of it.")
    images = [entry.image for entry in files]
    _check_present(name, "image", images, "`data_root`, `data_prefix.img_path`, `img_suffix` and `ann_file`")
    if with_masks:
        masks = [entry.mask for entry in files if entry.mask is not None]
        if len(masks) < len(files):
            raise SplitError(
                f"{len(files) - len(masks)} of {len(files)} samples of the {name} data name no mask: give "
                f"`data_prefix.seg_map_path` of the {name} dataset."
            )
        _check_present(name, "mask", masks, "`data_root`, `data_prefix.seg_map_path`, `seg_map_suffix` and `ann_file`")


def _check_apart(names: tuple[str, str], first: Sequence[SampleFiles], second: Sequence[SampleFiles], why: str) -> None:
    pairs = find_overlap([entry.image for entry in first], [entry.image for entry in second])
    if pairs:
        shown = "; ".join(a if a == b else f"{a} = {b}" for a, b in pairs[:_NAMED])
        raise SplitError(
            f"{len(pairs)} images are in both the {names[0]} and the {names[1]} data, first: {shown}. {why}"
        )


def check_splits(
    labeled: Any,
    unlabeled: Any | None = None,
    val: Any | None = None,
    allow_overlap: bool = False,
) -> dict[str, int]:
    """Raises unless labeled, unlabeled and validation data fit together.

    Args:
        labeled: Dataset with masks; all images and masks have to exist.
        unlabeled: Dataset whose masks are not needed. None: not checked.
        val: Dataset with masks that shares no image with the two. None: not checked.
        allow_overlap: True if labeled images may also be used as unlabeled ones. Default: False.

    Returns:
        Number of samples of each dataset given, by name.

    Raises:
        SplitError: On a pipeline that does not fit its set (:func:`check_pipeline`), an empty set, a sample that
            names no mask, or an image in two sets, naming the first.
        FileNotFoundError: On missing images or masks, naming the first few and how many.
    """
    datasets = dict(labeled=labeled, unlabeled=unlabeled, validation=val)
    files = {name: list_files(dataset) for name, dataset in datasets.items() if dataset is not None}
    for name, entries in files.items():
        check_pipeline(name, datasets[name])
        _check_files(name, entries, with_masks=name != "unlabeled")
    leak = "Training on validation images makes every figure worthless: take them off one list (`ann_file`)."
    for name in ("labeled", "unlabeled"):
        if name in files and "validation" in files:
            _check_apart((name, "validation"), files[name], files["validation"], leak)
    if "unlabeled" in files and not allow_overlap:
        again = "Take them off the unlabeled list, or allow it with train_cfg.allow_overlap=True."
        _check_apart(("labeled", "unlabeled"), files["labeled"], files["unlabeled"], again)
    return {name: len(entries) for name, entries in files.items()}
