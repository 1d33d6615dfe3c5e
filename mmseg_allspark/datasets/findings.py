"""What check_data.py can find: kinds of trouble, with files, config key and remedy."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from .checks import check_pipeline, describe_distortion, iter_leaves
from .inspection import Inspection, Problem
from .label_checks import SINGLE_CLASS_REMEDY, describe_single_class
from .setting_checks import LOADER_KEYS, check_batch, check_classes, check_zero_label

SPLIT_KEYS = {name: f"{key}.dataset" for name, key in LOADER_KEYS.items()}
# kind and file -> the keys of the dataset that decide, and what to do
_REMEDIES = {
    ("missing", "image"): ("ann_file", "Correct data_root, data_prefix.img_path, img_suffix or the list."),
    ("missing", "mask"): ("data_prefix.seg_map_path", "Correct data_prefix.seg_map_path, seg_map_suffix or the list."),
    ("unreadable", "image"): ("ann_file", "Copy or download it again, or take it off the list."),
    ("unreadable", "mask"): ("ann_file", "Create it again as one channel of label numbers, or take it off the list."),
    ("truncated", "image"): ("ann_file", "The file was cut off: copy or download it again, or take it off the list."),
    ("size", "mask"): ("seg_map_suffix", "Pair images and masks right, or resize one of them."),
    ("labels", "mask"): ("metainfo.classes", "Name all classes, set reduce_zero_label, or convert the masks."),
    ("pairing", "mask"): ("data_prefix.seg_map_path", "Give data_prefix.seg_map_path."),
    ("depth", "image"): ("pipeline", "Scale the values to the whole range, in 8 or 16 bit, before training."),
    ("channels", "image"): (
        "pipeline",
        "To use them, set color_type='unchanged' (for some TIFFs imdecode_backend='tifffile') in LoadImage, "
        "model.backbone.in_channels to their number, and one mean and std for each. Else save the images without them.",
    ),
    ("pages", "image"): ("ann_file", "Save the page that is meant, or all pages as channels, as one image."),
}
_REFUSED = "Training refuses this: do what the message says."


@dataclass(frozen=True)
class Finding:
    """One kind of trouble.

    Attributes:
        level: 'error' or 'warning'.
        kind: 'leak', 'overlap', 'duplicate', 'same id', 'dataset', 'list', 'setting', 'pipeline', 'class', 'mask' or a
            kind of ``Problem``.
        where: Split or splits.
        count: Files (or classes) affected.
        total: Files (or classes) looked at.
        files: All of them; pairs are written 'a = b'.
        text: What was found, in words.
        key: The config key to look at.
        remedy: What to do.
    """

    level: str
    kind: str
    where: str
    count: int
    total: int
    files: tuple[str, ...]
    text: str
    key: str
    remedy: str


def _find_empty(found: Mapping[str, Sequence[Inspection]]) -> Iterator[Finding]:
    for name, entries in found.items():
        if not entries:
            key, remedy = f"{SPLIT_KEYS[name]}.ann_file", "Correct ann_file, data_prefix or data_root."
            yield Finding("error", "dataset", name, 0, 0, (), "The dataset has no sample.", key, remedy)


def _find_problems(found: Mapping[str, Sequence[Inspection]]) -> Iterator[Finding]:
    for name, entries in found.items():
        groups: dict[tuple[str, str], list[Problem]] = {}
        for entry in entries:
            for problem in entry.problems:
                groups.setdefault((problem.kind, problem.what), []).append(problem)
        for (kind, what), problems in groups.items():
            key, remedy = _REMEDIES[kind, what]
            text = f"{len(problems)} of {len(entries)} {what}s. First: {problems[0].message}"
            files = tuple(problem.path for problem in problems)
            key = f"{SPLIT_KEYS[name]}.{key}"
            yield Finding(problems[0].level, kind, name, len(files), len(entries), files, text, key, remedy)


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


_SAMENESS: tuple[tuple[str, Callable[[Inspection], object]], ...] = (
    ("the same file", lambda entry: os.path.realpath(entry.image)),
    ("equal bytes", lambda entry: entry.content),
    ("equal pixels", lambda entry: entry.pixels),
)


def _pair(first: Sequence[Inspection], second: Sequence[Inspection]) -> dict[str, list[str]]:
    """How each image of the second that is also in the first is the same: way to 'a' or 'a = b'."""
    pairs: dict[str, list[str]] = {}
    taken: set[int] = set()
    for way, identify in _SAMENESS:
        known = {identity: entry for entry in first if (identity := identify(entry)) is not None}
        for index, entry in enumerate(second):
            twin = known.get(identify(entry))
            if twin is None or index in taken:
                continue
            taken.add(index)
            same = twin.image == entry.image
            pairs.setdefault(way, []).append(entry.image if same else f"{twin.image} = {entry.image}")
    stems = {_stem(entry.image): entry for entry in first}
    for index, entry in enumerate(second):
        if index not in taken and _stem(entry.image) in stems:
            pairs.setdefault("id", []).append(f"{stems[_stem(entry.image)].image} ~ {entry.image}")
    return pairs


def _find_shared(
    first: str, second: str, found: Mapping[str, Sequence[Inspection]], allow_overlap: bool
) -> Iterator[Finding]:
    pairs, where, total = _pair(found[first], found[second]), f"{first} and {second}", len(found[second])
    if ids := pairs.pop("id", None):
        text = f"{len(ids)} ids in both with different content."
        remedy = "Look at a few: fine if each folder is numbered anew, a leak if one is the other one saved again."
        key = f"{SPLIT_KEYS[second]}.ann_file"
        yield Finding("warning", "same id", where, len(ids), total, tuple(ids), text, key, remedy)
    leak = second == "validation"
    if not pairs or (allow_overlap and not leak):
        return
    files = tuple(pair for group in pairs.values() for pair in group)
    ways = ", ".join(f"{len(group)} {way}" for way, group in pairs.items())
    text = f"{len(files)} images in both ({ways})."
    if leak:
        remedy = "Training on validation images makes every figure worthless: take them off one list."
    else:
        remedy = "Take them off the unlabeled list, or allow it with train_cfg.allow_overlap=True."
    key = f"{SPLIT_KEYS[first if leak else second]}.ann_file"
    yield Finding("error", "leak" if leak else "overlap", where, len(files), total, files, text, key, remedy)


def _find_duplicates(found: Mapping[str, Sequence[Inspection]]) -> Iterator[Finding]:
    for name, entries in found.items():
        seen: dict[bytes, str] = {}
        pairs = []
        for entry in entries:
            if entry.pixels is None:
                continue
            if entry.pixels in seen:
                pairs.append(f"{seen[entry.pixels]} = {entry.image}")
            seen.setdefault(entry.pixels, entry.image)
        if pairs:
            text = f"{len(pairs)} of {len(entries)} images are there more than once (equal pixels)."
            remedy = "They count more than others: take the repetitions off the list unless that is wanted."
            key = f"{SPLIT_KEYS[name]}.ann_file"
            yield Finding("warning", "duplicate", name, len(pairs), len(entries), tuple(pairs), text, key, remedy)


def _find_masks(found: Mapping[str, Sequence[Inspection]]) -> Iterator[Finding]:
    """Unlabeled images of few colours named after another image, such as a_mask.png beside a.jpg."""
    stems = Counter(_stem(entry.image) for entries in found.values() for entry in entries)
    entries = found.get("unlabeled", ())
    files = tuple(entry.image for entry in entries if entry.few_colors and _has_companion(_stem(entry.image), stems))
    if files:
        text = f"{len(files)} of {len(entries)} images look like masks: few colours, and named after another image."
        remedy = "Move them elsewhere, or choose the images by a glob or a list, such as source='unlabeled/*.jpg'."
        key = f"{SPLIT_KEYS['unlabeled']}.ann_file"
        yield Finding("warning", "mask", "unlabeled", len(files), len(entries), files, text, key, remedy)


def _has_companion(stem: str, stems: Counter[str]) -> bool:
    parts = [(stem[: cut.start()], stem[cut.end() :]) for cut in re.finditer(r"[-_. ]", stem)]
    return stems[stem] > 1 or any(part in stems for pair in parts for part in pair)


def find_refused_settings(
    cfg: Mapping, datasets: Mapping[str, Any], loaders: Mapping[str, Mapping], num_classes: int | None
) -> Iterator[Finding]:
    """What training says about settings.

    Args:
        cfg: The config.
        datasets: Data set by name.
        loaders: Config of the loader by name.
        num_classes: Of the model. None: not known.

    Yields:
        An error for each refusal.
    """
    checks: list[tuple[str, str, Callable, tuple]] = []
    for name, dataset in datasets.items():
        key, loader = LOADER_KEYS[name], loaders[name]
        drop_last = name == "unlabeled" and loader.get("drop_last", False)
        checks += [
            (name, "dataset.metainfo.classes", check_classes, (key, dataset, num_classes)),
            (name, "dataset.pipeline", check_pipeline, (name, dataset)),
            (name, "batch_size", check_batch, (len(dataset), loader.get("batch_size", 1), drop_last)),
        ]
    checks.append(("labeled", "dataset.reduce_zero_label", check_zero_label, (cfg, datasets)))
    for name, setting, check, arguments in checks:
        try:
            check(*arguments)
        except (TypeError, ValueError) as error:
            yield Finding("error", "setting", name, 1, 1, (), str(error), f"{LOADER_KEYS[name]}.{setting}", _REFUSED)


def _find_in_pipelines(datasets: Mapping[str, Any], found: Mapping[str, Sequence[Inspection]]) -> Iterator[Finding]:
    """What the pipeline says to the first file without trouble of each data set, and what it does to pseudo labels."""
    for name, dataset in datasets.items():
        if name == "unlabeled" and (text := describe_distortion(dataset)) is not None:
            key, remedy = f"{SPLIT_KEYS[name]}.pipeline", "Leave only geometry in front of MultiView."
            yield Finding("warning", "pipeline", name, 1, 1, (), text, key, remedy)
        entries = iter(found[name])
        for leaf in iter_leaves(dataset):
            good = [index for index, entry in zip(range(len(leaf)), entries, strict=False) if entry.ok]
            try:
                _ = leaf[good[0]] if good else None
            except Exception as error:  # every transform raises its own kind
                image = leaf.get_data_info(good[0])["img_path"]
                text = f"The pipeline fails: {type(error).__name__}: {error}"
                key = f"{SPLIT_KEYS[name]}.pipeline"
                yield Finding("error", "pipeline", name, 1, len(leaf), (image,), text, key, _REFUSED)


def find_in_files(
    datasets: Mapping[str, Any], found: Mapping[str, Sequence[Inspection]], allow_overlap: bool
) -> Iterator[Finding]:
    """Everything that is wrong with files and lists.

    Args:
        datasets: Data set by name.
        found: What its files hold.
        allow_overlap: Whether labeled images may be unlabeled ones, too.

    Yields:
        Errors and warnings.
    """
    yield from _find_empty(found)
    yield from _find_problems(found)
    yield from _find_duplicates(found)
    yield from _find_masks(found)
    for first, second in combinations(found, 2):
        yield from _find_shared(first, second, found, allow_overlap)
    yield from _find_in_pipelines(datasets, found)


def find_in_classes(
    classes: Sequence[str], pixels: Mapping[str, np.ndarray], masks: Mapping[str, int]
) -> Iterator[Finding]:
    """What masks lack.

    Args:
        classes: Their names.
        pixels: (256,) pixels of each label, by name of the data set.
        masks: Number of masks, likewise.

    Yields:
        Errors and warnings.
    """
    for name in pixels:
        level = "error" if name == "labeled" else "warning"
        which = f"{masks[name]} masks of {LOADER_KEYS[name]} looked at"
        text = None if name == "unlabeled" else describe_single_class(which, classes, pixels[name])
        if text is not None:
            key, remedy = f"{SPLIT_KEYS[name]}.data_prefix.seg_map_path", SINGLE_CLASS_REMEDY
            yield Finding(level, "class", name, masks[name], masks[name], (), text, key, remedy)
    if not {"labeled", "validation"} <= set(pixels):
        return
    labeled, validation = (pixels[name][: len(classes)] for name in ("labeled", "validation"))
    absent = tuple(n for n, a, b in zip(classes, labeled, validation, strict=True) if b and not a)
    if absent:
        text = f"{len(absent)} classes of the validation masks have no labeled pixel: they cannot be learnt."
        remedy = "Choose labeled images that show them (another seed of the split), or expect an IoU of 0 there."
        key = f"{SPLIT_KEYS['labeled']}.ann_file"
        yield Finding("warning", "class", "labeled", len(absent), len(classes), absent, text, key, remedy)
