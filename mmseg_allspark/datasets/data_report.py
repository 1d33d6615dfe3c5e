"""Leak and sanity check of labeled, unlabeled and validation data: what is wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from mmengine.config import Config
from mmseg.registry import DATASETS
from prettytable import PrettyTable

from mmseg_allspark.utils.config_types import type_name

from .checks import check_pipeline, describe_distortion
from .findings import SPLIT_KEYS, Finding, find_in_classes, find_in_files
from .inspection import Inspection, inspect_samples
from .label_files import check_own_labels
from .parts import iter_leaves
from .setting_checks import LOADER_KEYS, check_batch, check_classes, check_zero_label, choose_unlabeled

_SHOWN = 5  # files a finding names in the report
_REFUSED = "Training refuses this: do what the message says."


def is_semi_supervised(cfg: Config) -> bool:
    """Whether a config trains on its ``unlabeled_dataloader``; supervised ones merely inherit it from a base."""
    return type_name((cfg.get("train_cfg") or {}).get("type")) == "PseudoLabelLoop"


@dataclass
class DataReport:
    """All findings and the class frequencies."""

    findings: list[Finding] = field(default_factory=list)  # errors first
    samples: dict[str, int] = field(default_factory=dict)  # number per split
    classes: tuple[str, ...] = ()
    pixels: dict[str, list[int]] = field(default_factory=dict)  # per class, of splits with masks
    ignored: dict[str, int] = field(default_factory=dict)  # pixels that carry no class (ignore_index)

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
        return "\n".join([*lines, self._frequencies(), "", self.describe_findings()])

    def describe_findings(self, with_keys: bool = True) -> str:
        """The findings, to be read; without config keys for data that have no config yet."""
        lines = []
        for finding in self.findings:
            lines.append(f"{finding.level.upper()} [{finding.kind}] {finding.where}: {finding.text}")
            lines += [f"    {name}" for name in finding.files[:_SHOWN]]
            if len(finding.files) > _SHOWN:
                lines.append(f"    ... and {len(finding.files) - _SHOWN} more{' (all with --json)' * with_keys}")
            lines += [f"    config key: {finding.key}"] * with_keys + [f"    remedy: {finding.remedy}", ""]
        errors = sum(finding.level == "error" for finding in self.findings)
        lines.append(f"{errors} kinds of errors, {len(self.findings) - errors} of warnings.")
        return "\n".join(lines)

    def _frequencies(self) -> str:
        if not self.pixels:
            return "No masks, so no class frequencies."
        table = PrettyTable(["share of labelled pixels, %", *self.pixels], align="r", float_format=".3")
        for index, name in enumerate(self.classes):
            shares = [100 * pixels[index] / max(1, sum(pixels)) for pixels in self.pixels.values()]
            table.add_row([name, *shares])
        total = {name: self.ignored[name] + sum(pixels) for name, pixels in self.pixels.items()}
        shares = [100 * self.ignored[name] / max(1, number) for name, number in total.items()]
        table.add_row(["ignored, of all pixels", *shares])
        return table.get_string()


def report_data(
    cfg: Config, workers: int | None = None, progress: Callable[[int, int], None] | None = None
) -> DataReport:
    """Checks the data of any mmseg config with ``train_dataloader``, and unlabeled and validation data where there are.

    Args:
        cfg: The config.
        workers: Processes. Default: as many as CPUs may be used.
        progress: Called with samples done and samples in all.
    """
    report = DataReport()
    loaders, datasets = _choose_loaders(cfg, report), {}
    for name, loader in loaders.items():
        try:
            datasets[name] = DATASETS.build(loader["dataset"])
        except Exception as error:  # every dataset raises its own kind, and the others can still be checked
            text = f"The dataset cannot be built: {type(error).__name__}: {error}"
            remedy = "Correct the paths (data_root, ann_file, data_prefix) or what the message names."
            report.findings.append(Finding("error", "dataset", name, 1, 1, (), text, SPLIT_KEYS[name], remedy))
    report.findings += _find_refused_settings(cfg, datasets, loaders)
    found = inspect_samples(datasets, ("labeled", "validation"), workers, progress)
    report.samples = {name: len(entries) for name, entries in found.items()}
    report.findings += find_in_files(found, bool((cfg.get("train_cfg") or {}).get("allow_overlap")))
    report.findings += _find_in_pipelines(datasets, found)
    metas = [getattr(dataset, "metainfo", None) or {} for dataset in datasets.values()]
    report.classes = next((tuple(meta["classes"]) for meta in metas if meta.get("classes")), ())
    counts = {name: [entry.counts for entry in entries if entry.counts is not None] for name, entries in found.items()}
    pixels = {name: np.sum(masks, axis=0) for name, masks in counts.items() if masks and report.classes}
    for name, labels in pixels.items():
        report.pixels[name] = labels[: len(report.classes)].tolist()
        report.ignored[name] = int(labels[len(report.classes) :].sum())
    report.findings += find_in_classes(report.classes, pixels, {name: len(masks) for name, masks in counts.items()})
    for name in datasets:
        if "source" in loaders[name]["dataset"]:  # an UnlabeledDataset has it in place of ann_file
            old, new = f"{SPLIT_KEYS[name]}.ann_file", f"{SPLIT_KEYS[name]}.source"
            report.findings = [replace(entry, key=entry.key.replace(old, new)) for entry in report.findings]
    report.findings.sort(key=lambda finding: finding.level != "error")
    return report


def _choose_loaders(cfg: Config, report: DataReport) -> dict[str, Mapping]:
    """The loaders that a training would build, by name."""
    loaders = {name: cfg.get(key) for name, key in LOADER_KEYS.items()}
    loaders["unlabeled"] = None
    if is_semi_supervised(cfg):
        try:
            loaders["unlabeled"] = choose_unlabeled(cfg)
        except ValueError as error:
            key, remedy = LOADER_KEYS["unlabeled"], "Set it."
            report.findings.append(Finding("error", "setting", "unlabeled", 1, 1, (), str(error), key, remedy))
    return {name: loader for name, loader in loaders.items() if loader is not None}


def _find_refused_settings(
    cfg: Config, datasets: Mapping[str, Any], loaders: Mapping[str, Mapping]
) -> Iterator[Finding]:
    """What training says about settings."""
    head = (cfg.get("model") or {}).get("decode_head") or {}
    num_classes = (head[-1] if isinstance(head, list) else head).get("num_classes")
    checks: list[tuple[str, str, Callable, tuple]] = []
    for name, dataset in datasets.items():
        drop_last = name == "unlabeled" and loaders[name].get("drop_last", False)
        checks += [
            (name, "dataset.metainfo.classes", check_classes, (LOADER_KEYS[name], dataset, num_classes)),
            (name, "dataset.pipeline", check_pipeline, (name, dataset)),
            (name, "batch_size", check_batch, (len(dataset), loaders[name].get("batch_size", 1), drop_last)),
        ]
    checks.append(("labeled", "dataset.reduce_zero_label", check_zero_label, (cfg, datasets)))
    if "unlabeled" in datasets:
        checks.append(("unlabeled", "dataset.pipeline", check_own_labels, (datasets["unlabeled"],)))
    for name, setting, check, arguments in checks:
        try:
            check(*arguments)
        except (TypeError, ValueError) as error:
            yield Finding("error", "setting", name, 1, 1, (), str(error), f"{LOADER_KEYS[name]}.{setting}", _REFUSED)


def _find_in_pipelines(datasets: Mapping[str, Any], found: Mapping[str, list[Inspection]]) -> Iterator[Finding]:
    """What the pipeline says to the first file without trouble of each data set, and what it does to pseudo labels."""
    for name, dataset in datasets.items():
        key, entries = f"{SPLIT_KEYS[name]}.pipeline", iter(found[name])
        if name == "unlabeled" and (text := describe_distortion(dataset)) is not None:
            yield Finding(
                "warning", "pipeline", name, 1, 1, (), text, key, "Leave only geometry in front of MultiView."
            )
        for leaf in iter_leaves(dataset):
            good = [(index, entry) for index, entry in zip(range(len(leaf)), entries, strict=False) if entry.ok]
            try:
                _ = leaf[good[0][0]] if good else None
            except Exception as error:  # every transform raises its own kind
                text = f"The pipeline fails: {type(error).__name__}: {error}"
                yield Finding("error", "pipeline", name, 1, len(leaf), (good[0][1].image,), text, key, _REFUSED)
