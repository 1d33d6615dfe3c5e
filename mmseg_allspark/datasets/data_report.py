"""Leak and sanity check of labeled, unlabeled and validation data: what is wrong, where, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
from mmengine.config import Config
from mmseg.registry import DATASETS

from mmseg_allspark.utils.config_types import type_name

from .inspection import Inspection, Problem, inspect_samples

SPLIT_KEYS = {
    "labeled": "train_dataloader.dataset",
    "unlabeled": "unlabeled_dataloader.dataset",
    "validation": "val_dataloader.dataset",
}
_SHOWN = 5  # files a finding names in the report
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
}


def is_semi_supervised(cfg: Config) -> bool:
    """Whether a config trains on its ``unlabeled_dataloader``; supervised ones merely inherit it from a base."""
    return type_name((cfg.get("train_cfg") or {}).get("type")) == "PseudoLabelLoop"


@dataclass(frozen=True)
class Finding:
    """One kind of trouble.

    Attributes:
        level: 'error' or 'warning'.
        kind: 'leak', 'overlap', 'duplicate', 'same id', 'dataset', 'class' or a kind of ``Problem``.
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


@dataclass
class DataReport:
    """All findings and the class frequencies.

    Attributes:
        findings: Errors first.
        samples: Number of samples per split.
        classes: Names of the classes.
        pixels: Split to pixels per class; only splits with masks.
        ignored: Split to pixels that carry no class (ignore_index).
    """

    findings: list[Finding] = field(default_factory=list)
    samples: dict[str, int] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    pixels: dict[str, list[int]] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings do not count."""
        return not any(finding.level == "error" for finding in self.findings)

    def to_dict(self) -> dict:
        """Everything, for JSON."""
        return dict(ok=self.ok, **asdict(self))

    def to_text(self) -> str:
        """Everything, to be read."""
        lines = [", ".join(f"{count} {name}" for name, count in self.samples.items()) + " images", ""]
        lines += [*self._frequency_lines(), ""]
        for finding in self.findings:
            lines.append(f"{finding.level.upper()} [{finding.kind}] {finding.where}: {finding.text}")
            lines += [f"    {name}" for name in finding.files[:_SHOWN]]
            if len(finding.files) > _SHOWN:
                lines.append(f"    ... and {len(finding.files) - _SHOWN} more (all with --json)")
            lines += [f"    config key: {finding.key}", f"    remedy: {finding.remedy}", ""]
        errors = sum(finding.level == "error" for finding in self.findings)
        lines.append(f"{errors} kinds of errors, {len(self.findings) - errors} of warnings.")
        return "\n".join(lines)

    def _frequency_lines(self) -> list[str]:
        if not self.pixels:
            return ["No masks, so no class frequencies."]
        width = max(map(len, (*self.classes, "ignored, of all pixels")))
        head = f"{'share of labelled pixels, %':{width}s}"
        lines = [head + "".join(f"{name:>12s}" for name in self.pixels)]
        width = max(width, len(head))
        for index, name in enumerate(self.classes):
            shares = (100 * pixels[index] / max(1, sum(pixels)) for pixels in self.pixels.values())
            lines.append(f"{name:{width}s}" + "".join(f"{share:12.3f}" for share in shares))
        shares = (
            100 * self.ignored[name] / max(1, self.ignored[name] + sum(self.pixels[name])) for name in self.pixels
        )
        return [*lines, f"{'ignored, of all pixels':{width}s}" + "".join(f"{share:12.3f}" for share in shares)]


def report_data(
    cfg: Config, workers: int | None = None, progress: Callable[[int, int], None] | None = None
) -> DataReport:
    """Checks the data of a config.

    Args:
        cfg: Any mmseg config with ``train_dataloader``; ``unlabeled_dataloader`` and ``val_dataloader``
            are checked where there are such.
        workers: Processes. Default: as many as CPUs may be used.
        progress: Called with samples done and samples in all.

    Returns:
        The report.
    """
    report = DataReport()
    datasets = {}
    from_source = []  # an UnlabeledDataset has `source` in place of ann_file
    for name, key in SPLIT_KEYS.items():
        if (dataset_cfg := _look_up(cfg, key)) is None or (name == "unlabeled" and not is_semi_supervised(cfg)):
            continue
        from_source += [key] * ("source" in dataset_cfg)
        try:
            dataset = DATASETS.build(dataset_cfg)
            datasets[name], report.samples[name] = dataset, len(dataset)
        except Exception as error:  # every dataset raises its own kind, and the others can still be checked
            text = f"The dataset cannot be built: {type(error).__name__}: {error}"
            remedy = "Correct the paths (data_root, ann_file, data_prefix) or what the message names."
            report.findings.append(Finding("error", "dataset", name, 1, 1, (), text, key, remedy))
    found = inspect_samples(datasets, ("labeled", "validation"), workers, progress)
    allow_overlap = bool((cfg.get("train_cfg") or {}).get("allow_overlap", False))
    report.samples = {name: len(entries) for name, entries in found.items()}  # without repetitions
    report.findings += _find_empty(found)
    report.findings += _find_problems(found)
    report.findings += _find_duplicates(found)
    for first, second in combinations(found, 2):
        report.findings += _find_shared(first, second, found, allow_overlap)
    metas = [getattr(dataset, "metainfo", None) or {} for dataset in datasets.values()]
    report.classes = next((tuple(meta["classes"]) for meta in metas if meta.get("classes")), ())
    _count_classes(report, found)
    report.findings += _find_absent(report)
    for key in from_source:
        old, new = f"{key}.ann_file", f"{key}.source"
        report.findings = [replace(entry, key=entry.key.replace(old, new)) for entry in report.findings]
    report.findings.sort(key=lambda finding: finding.level != "error")
    return report


def _look_up(cfg: Config, key: str) -> Any | None:
    value: Any = cfg
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping | Config) else None
    return value


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
            yield Finding("error", kind, name, len(files), len(entries), files, text, key, remedy)


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


def _count_classes(report: DataReport, found: Mapping[str, Sequence[Inspection]]) -> None:
    for name, entries in found.items():
        counts = [entry.counts for entry in entries if entry.counts is not None]
        if counts and report.classes:
            total = np.sum(counts, axis=0)
            report.pixels[name] = total[: len(report.classes)].tolist()
            report.ignored[name] = int(total[len(report.classes) :].sum())


def _find_absent(report: DataReport) -> Iterator[Finding]:
    if not {"labeled", "validation"} <= set(report.pixels):
        return
    labeled, validation = report.pixels["labeled"], report.pixels["validation"]
    absent = tuple(n for n, a, b in zip(report.classes, labeled, validation, strict=True) if b and not a)
    if absent:
        text = f"{len(absent)} classes of the validation masks have no labeled pixel: they cannot be learnt."
        remedy = "Choose labeled images that show them (another seed of the split), or expect an IoU of 0 there."
        key = f"{SPLIT_KEYS['labeled']}.ann_file"
        yield Finding("warning", "class", "labeled", len(absent), len(report.classes), absent, text, key, remedy)
