"""Checks across datasets before training starts, without decoding an image."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmseg.datasets.transforms import LoadAnnotations

from .findings import Finding, find_in_files
from .inspection import Inspection, Problem, hash_bytes
from .parts import iter_leaves, iter_steps
from .transforms.decoding import missing_file
from .transforms.loading import IMAGE_KEYS, MASK_KEYS

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
        SplitError: On a pipeline that does not fit its set, an empty set, a sample without mask, an image in two sets.
        FileNotFoundError: On missing images or masks, naming the first and how many.
    """
    datasets = dict(labeled=labeled, unlabeled=unlabeled, validation=val)
    datasets = {name: dataset for name, dataset in datasets.items() if dataset is not None}
    found = {}
    for name, dataset in datasets.items():
        check_pipeline(name, dataset)
        found[name] = [_find_missing(entry, name != "unlabeled") for entry in list_files(dataset)]
    for finding in find_in_files(_hash_twins(found), allow_overlap):
        if finding.level == "error":
            raise (FileNotFoundError if finding.kind == "missing" else SplitError)(_in_words(finding))
    return {name: len(entries) for name, entries in found.items()}


def list_files(dataset: Any) -> list[Inspection]:
    """Image and mask paths of a dataset, perhaps inside ConcatDataset or RepeatDataset, without loading an image."""
    files = []
    for leaf in iter_leaves(dataset):
        if hasattr(leaf, "full_init"):
            leaf.full_init()
        infos = map(leaf.get_data_info, range(len(leaf)))
        files += [Inspection(info["img_path"], info.get("seg_map_path")) for info in infos]
    return files


def check_pipeline(name: str, dataset: Any) -> None:
    """Raise ``SplitError`` if a pipeline would use images or masks in a way that its data set is not for.

    Labeled images that cannot be read are not skipped, masks of unlabeled images do not choose the crops, and none is
    looked for where there is none. ``name`` is 'labeled', 'unlabeled' or 'validation'.
    """
    for step in iter_steps(dataset):
        kind, ratio = type(step).__name__, getattr(step, "cat_max_ratio", 1.0)
        if name != "unlabeled" and getattr(step, "unreadable", None) == "skip":
            raise SplitError(
                f"The pipeline of the {name} data has {kind}(unreadable='skip'), which is for unlabeled images: leave "
                "it out there."
            )
        if name == "unlabeled" and ratio < 1.0:
            raise SplitError(
                f"The unlabeled pipeline has {kind}(cat_max_ratio={ratio}), which looks at masks to "
                "choose a crop: set cat_max_ratio=1.0 there (unlabeled_dataloader.dataset.pipeline)."
            )
        if name == "unlabeled" and type(step) is LoadAnnotations:
            raise SplitError(
                "The unlabeled pipeline has LoadAnnotations, which needs a mask for every image: remove it, or "
                "use LoadSegMask(optional=True) for the agreement statistic."
            )


def describe_distortion(unlabeled: Any) -> str | None:
    """Say so if pseudo labels would come from images with changed colours; None where they do not."""
    kinds = {type(step) for step in iter_steps(unlabeled)}
    kinds = {kind.__name__ for kind in kinds if _RANDOM_COLOURS & {base.__name__ for base in kind.__mro__}}
    if not kinds:
        return None
    return (
        f"The unlabeled pipeline has {', '.join(sorted(kinds))} outside of MultiView: pseudo labels will come from "
        "images with changed colours, as in GuidedMix-Net's release. For other methods remove it, or move it to "
        "MultiView(views=dict(weak=[], strong=[...])) (unlabeled_dataloader.dataset.pipeline)."
    )


def _find_missing(entry: Inspection, needs_mask: bool) -> Inspection:
    """An entry with its missing files as problems; files of storage services are not looked for."""
    problems = []
    if needs_mask and entry.mask is None:
        problems.append(Problem("pairing", "mask", entry.image, f"No mask is known for {entry.image}."))
    wanted = (("image", entry.image, IMAGE_KEYS), ("mask", entry.mask if needs_mask else None, MASK_KEYS))
    for what, path, keys in wanted:
        if path is not None and "://" not in path and not os.path.isfile(path):
            problems.append(Problem("missing", what, path, str(missing_file(path, what, keys))))
    return replace(entry, problems=tuple(problems))


def _hash_twins(found: dict[str, list[Inspection]]) -> dict[str, list[Inspection]]:
    """Add the hash of the content where two files have the same stem and size, and may thus be the same image."""
    images = {entry.image for entries in found.values() for entry in entries}
    paths = [path for path in images if os.path.isfile(path) and os.access(path, os.R_OK)]
    forms = {path: (Path(path).stem, os.path.getsize(path)) for path in paths}
    times = Counter(forms.values())
    hashes = {path: hash_bytes(Path(path).read_bytes()) for path in paths if times[forms[path]] > 1}
    return {
        name: [replace(entry, content=hashes.get(entry.image)) for entry in entries] for name, entries in found.items()
    }


def _in_words(finding: Finding) -> str:
    files = f" Files: {'; '.join(finding.files[:3])}." if finding.files else ""
    return f"{finding.where} data: {finding.text}{files} {finding.remedy} ({finding.key})"
