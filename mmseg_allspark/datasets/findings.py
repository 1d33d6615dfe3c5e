"""What can be wrong with the files of data sets: kinds of trouble, with files, config key and remedy."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np

from .inspection import Inspection, Problem
from .mask_checks import SINGLE_CLASS_REMEDY, describe_single_class
from .setting_checks import LOADER_KEYS

SPLIT_KEYS = {name: f"{key}.dataset" for name, key in LOADER_KEYS.items()}
# kind and file -> the keys of the dataset that decide, and what to do
_REMEDIES = {
    ("missing", "image"): ("ann_file", "Correct data_root, data_prefix.img_path, img_suffix or the list."),
    ("missing", "mask"): ("data_prefix.seg_map_path", "Correct data_prefix.seg_map_path, seg_map_suffix or the list."),
    ("unreadable", "image"): ("ann_file", "Copy or download it again, or take it off the list."),
    ("unreadable", "mask"): ("ann_file", "Create it again as one channel of label numbers, or take it off the list."),
    ("truncated", "image"): ("ann_file", "The file was cut off: copy or download it again, or take it off the list."),
    ("truncated", "mask"): ("ann_file", "The file was cut off: create it again, or take it off the list."),
    ("size", "mask"): ("seg_map_suffix", "Pair images and masks right, or resize one of them."),
    ("labels", "mask"): ("metainfo.classes", "Name all classes, set reduce_zero_label, or convert the masks."),
    ("pairing", "mask"): ("data_prefix.seg_map_path", "Give data_prefix.seg_map_path."),
    ("missing", "label file"): ("pipeline", "Write it, or correct the folder of LoadPseudoLabel."),
    ("unreadable", "label file"): ("pipeline", "Create it again as a PNG of one channel of class numbers."),
    ("truncated", "label file"): ("pipeline", "The file was cut off: create it again."),
    ("size", "label file"): ("pipeline", "Make labels of the image's size, or correct the folder of LoadPseudoLabel."),
    ("labels", "label file"): ("pipeline", "Write class numbers from 0 on, and 255 where nothing is known."),
    ("depth", "image"): ("pipeline", "Scale the values to the whole range, in 8 or 16 bit, before training."),
    ("channels", "image"): (
        "pipeline",
        "To use them, set color_type='unchanged' (for some TIFFs imdecode_backend='tifffile') in LoadImage, "
        "model.backbone.in_channels to their number, and one mean and std for each. Else save the images without them.",
    ),
    ("pages", "image"): ("ann_file", "Save the page that is meant, or all pages as channels, as one image."),
}


@dataclass(frozen=True)
class Finding:
    """One kind of trouble."""

    level: str  # 'error' or 'warning'
    kind: str  # that of a Problem, or leak, overlap, duplicate, same id, dataset, setting, pipeline, class, mask
    where: str  # split or splits
    count: int  # files (or classes) affected
    total: int  # files (or classes) looked at
    files: tuple[str, ...]  # all of them; pairs are written 'a = b'
    text: str  # what was found, in words
    key: str  # the config key to look at
    remedy: str  # what to do


def find_in_files(found: Mapping[str, Sequence[Inspection]], allow_overlap: bool) -> Iterator[Finding]:
    """Yield everything that is wrong with files and lists, by what was found out about each sample of each data set."""
    for name, entries in found.items():
        if not entries:
            key, remedy = f"{SPLIT_KEYS[name]}.ann_file", "Correct ann_file, data_prefix or data_root."
            yield Finding("error", "dataset", name, 0, 0, (), "The dataset has no sample.", key, remedy)
        yield from _find_problems(name, entries)
        yield from _find_duplicates(name, entries)
    yield from _find_masks(found)
    for first, second in combinations(found, 2):
        yield from _find_shared(first, second, found, allow_overlap)


def _find_problems(name: str, entries: Sequence[Inspection]) -> Iterator[Finding]:
    groups: dict[tuple[str, str], list[Problem]] = {}
    for entry in entries:
        for problem in entry.problems:
            groups.setdefault((problem.kind, problem.what), []).append(problem)
    for (kind, what), problems in groups.items():
        key, remedy = _REMEDIES[kind, what]
        text = f"{len(problems)} of {len(entries)} {what}s. First: {problems[0].message}"
        files, key = tuple(problem.path for problem in problems), f"{SPLIT_KEYS[name]}.{key}"
        yield Finding(problems[0].level, kind, name, len(files), len(entries), files, text, key, remedy)


def _find_duplicates(name: str, entries: Sequence[Inspection]) -> Iterator[Finding]:
    seen: dict[bytes, str] = {}
    pairs = []
    for entry in entries:
        if entry.pixels in seen:
            pairs.append(f"{seen[entry.pixels]} = {entry.image}")
        elif entry.pixels is not None:
            seen[entry.pixels] = entry.image
    if pairs:
        text = f"{len(pairs)} of {len(entries)} images are there more than once (equal pixels)."
        remedy = "They count more than others: take the repetitions off the list unless that is wanted."
        key = f"{SPLIT_KEYS[name]}.ann_file"
        yield Finding("warning", "duplicate", name, len(pairs), len(entries), tuple(pairs), text, key, remedy)


def _find_masks(found: Mapping[str, Sequence[Inspection]]) -> Iterator[Finding]:
    """Unlabeled images of few colours named after another image, such as a_mask.png beside a.jpg."""
    stems = Counter(_stem(entry) for entries in found.values() for entry in entries)
    entries = found.get("unlabeled", ())
    files = tuple(entry.image for entry in entries if entry.few_colors and _has_companion(_stem(entry), stems))
    if files:
        text = f"{len(files)} of {len(entries)} images look like masks: few colours, and named after another image."
        remedy = "Move them elsewhere, or choose the images by a glob or a list, such as source='unlabeled/*.jpg'."
        key = f"{SPLIT_KEYS['unlabeled']}.ann_file"
        yield Finding("warning", "mask", "unlabeled", len(files), len(entries), files, text, key, remedy)


def _has_companion(stem: str, stems: Counter[str]) -> bool:
    parts = [(stem[: cut.start()], stem[cut.end() :]) for cut in re.finditer(r"[-_. ]", stem)]
    return stems[stem] > 1 or any(part in stems for pair in parts for part in pair)


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
    remedy = "Take them off the unlabeled list, or allow it with train_cfg.allow_overlap=True."
    if leak:
        remedy = "Training on validation images makes every figure worthless: take them off one list."
    key = f"{SPLIT_KEYS[first if leak else second]}.ann_file"
    yield Finding("error", "leak" if leak else "overlap", where, len(files), total, files, text, key, remedy)


def _pair(first: Sequence[Inspection], second: Sequence[Inspection]) -> dict[str, list[str]]:
    """How each image of the second that is also in the first is the same: way to 'a' or 'a = b'."""
    ways: dict[str, Callable[[Inspection], object]] = {
        "the same file": lambda entry: _resolve(entry.image),
        "equal bytes": lambda entry: entry.content,
        "equal pixels": lambda entry: entry.pixels,
        "id": _stem,
    }
    pairs: dict[str, list[str]] = {}
    rest = list(second)
    for way, identify in ways.items():
        known = {identity: entry.image for entry in first if (identity := identify(entry)) is not None}
        twins = [(known.get(identify(entry)), entry.image) for entry in rest]
        rest = [entry for entry, (twin, _) in zip(rest, twins, strict=True) if twin is None]
        sign = "~" if way == "id" else "="
        if same := [own if own == twin else f"{twin} {sign} {own}" for twin, own in twins if twin is not None]:
            pairs[way] = same
    return pairs


def _stem(entry: Inspection) -> str:
    return Path(entry.image).stem


def _resolve(path: str) -> str:
    """As os.path.realpath, but a folder is resolved once and not for each of its files."""
    if "://" in path:
        return path
    if os.path.islink(path):
        return os.path.realpath(path)
    return os.path.join(_real_folder(os.path.dirname(path)), os.path.basename(path))


@lru_cache(maxsize=4096)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def find_in_classes(
    classes: Sequence[str], pixels: Mapping[str, np.ndarray], masks: Mapping[str, int]
) -> Iterator[Finding]:
    """Yield what masks lack, by pixels of each label (256,) and number of masks of each data set."""
    for name in pixels:
        which = f"{masks[name]} masks of {LOADER_KEYS[name]} looked at"
        text = None if name == "unlabeled" else describe_single_class(which, classes, pixels[name])
        if text is not None:
            level, key = "error" if name == "labeled" else "warning", f"{SPLIT_KEYS[name]}.data_prefix.seg_map_path"
            yield Finding(level, "class", name, masks[name], masks[name], (), text, key, SINGLE_CLASS_REMEDY)
    if not {"labeled", "validation"} <= set(pixels):
        return
    labeled, validation = (pixels[name][: len(classes)] for name in ("labeled", "validation"))
    absent = tuple(n for n, a, b in zip(classes, labeled, validation, strict=True) if b and not a)
    if absent:
        text = f"{len(absent)} classes of the validation masks have no labeled pixel: they cannot be learnt."
        remedy = "Choose labeled images that show them (another seed of the split), or expect an IoU of 0 there."
        key = f"{SPLIT_KEYS['labeled']}.ann_file"
        yield Finding("warning", "class", "labeled", len(absent), len(classes), absent, text, key, remedy)
