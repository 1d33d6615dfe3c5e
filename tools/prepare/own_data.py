"""Looks through a folder of your own images and masks and writes the lists that training needs.

    python tools/prepare/own_data.py data/own --val 1/5 --seed 0

ROOT holds images/<id>.jpg (or .png ...), masks/<id>.png (class numbers 0 ... K-1, 255 = ignore) for at least two of
them, and, if you like, unlabeled/ with any images in any folders. It gets labeled.txt and val.txt: a seeded share
of the images with masks is held out for validation. Images without a mask are linked into unlabeled/rest. Before that
every file is read as training reads it: what training would refuse is an error that names the file, and nothing is
written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from _files import PrepareError, find_changes, join_lines, make_progress, run_tool, say, walk_files, write_texts
from _masks import read_labels, read_size
from _splits import draw_labeled, parse_fraction
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseg_allspark.datasets.data_report import report_data
from mmseg_allspark.datasets.mask_checks import IGNORE, describe_single_class
from mmseg_allspark.datasets.unlabeled import IMAGE_SUFFIXES

MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")  # formats that keep numbers


def find_files(folder: Path, what: str, suffixes: tuple[str, ...], key: str) -> dict[str, Path]:
    """Ids (file names without suffix) and files of a folder of images or masks.

    Raises:
        PrepareError: If there is none, or if there are several suffixes.
    """
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in suffixes) if folder.is_dir() else []
    if not files:
        raise PrepareError(f"{folder} holds no {what} ({', '.join(suffixes)}).")
    found = sorted({p.suffix for p in files})
    if len(found) > 1:
        formats = {suffix.lower().replace("jpeg", "jpg").replace("tiff", "tif") for suffix in found}
        remedy = "rename" if len(formats) == 1 else "convert"
        raise PrepareError(f"{folder} mixes {' and '.join(found)} files: a data set has one {key}; {remedy} some.")
    return {p.stem: p for p in files}


def count_labels(masks: dict[str, Path], images: dict[str, Path]) -> dict[str, np.ndarray]:
    """Pixels of each label (256,) in each mask.

    Raises:
        PrepareError: If there is only one, one has no image, cannot be read, has another size than its image or is in
            colour.
    """
    if len(masks) < 2:
        raise PrepareError(f"There is one mask, {masks.popitem()[1]}: one to train on and one to validate on at least.")
    counts = {}
    for name, path in masks.items():
        if name not in images:
            raise PrepareError(
                f"The mask {path} has no image of the same name in {next(iter(images.values())).parent}."
            )
        labels = read_labels(path, read_size(images[name]), range(256))
        counts[name] = np.bincount(labels.ravel(), minlength=256)
    return counts


def find_unlabeled(root: Path, images: dict[str, Path], masked: set[str]) -> list[Path]:
    """Files in unlabeled/, and the images without a mask in place of their links there."""
    rest, names = root / "unlabeled" / "rest", {path.name for path in images.values()}

    def is_ours(path: Path) -> bool:
        return path.parent == rest and path.is_symlink() and (path.name in names or not path.exists())

    own = [path for path in walk_files(root / "unlabeled", IMAGE_SUFFIXES) if not is_ours(path)]
    return own + [path for name, path in images.items() if name not in masked]


def link_rest(root: Path, images: dict[str, Path], masked: set[str]) -> None:
    """Link the images that have no mask into unlabeled/rest; take out those that got one since."""
    for link in (root / "unlabeled" / "rest").glob("*"):
        if link.is_symlink() and (link.stem in masked or not link.exists()):
            link.unlink()
    for name, path in images.items():
        target = root / "unlabeled" / "rest" / path.name
        if name not in masked and not target.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path.resolve())


def describe(shares: dict[str, np.ndarray], labels: Iterable[int], first: int) -> None:
    """Say which classes there are, from the label ``first`` on.

    A label that no labeled mask shows cannot be learned.
    """
    for label in labels:
        parts = (f"{100 * c[label] / max(1, c[first:IGNORE].sum()):.2f} % of {part}" for part, c in shares.items())
        missing = "" if shares["labeled"][label] else "   <- in no labeled image: another --seed, or more masks"
        say(f"  class {label - first}{f' (label {label})' if first else ''}: {', '.join(parts)}{missing}")


def find_label_fault(masks: dict[str, np.ndarray], labeled: np.ndarray, classes: range, given: bool) -> str:
    """What is wrong with the numbers in the masks; may be nothing.

    Args:
        masks: Name of each mask -> (256,) pixels of each label.
        labeled: (256,) the same of all that are trained on.
        classes: Labels that may be there.
        given: Whether the user gave the number of classes.
    """
    total = sum(masks.values())
    labels = [label for label in range(classes.start, IGNORE) if total[label]]
    if other := [label for label in labels if label not in classes]:
        name = next(name for name, counts in masks.items() if counts[other[0]])
        unless = ", or give --num-classes K if there are K classes and no mask shows some of them"
        unless = f" or give another --num-classes than {len(classes)}" if given else unless
        return (
            f"The masks hold the labels {labels}, such as {other[0]} in the mask of {name}; classes have to be "
            f"{classes[0]} ... {classes[-1]} (and {IGNORE} = ignore): renumber the masks{unless}."
        )
    names = [""] * classes.start + [f"class {number}" for number in range(len(classes))]
    text = describe_single_class("labeled masks", names, labeled)
    remedy = f" If {IGNORE} is your object, make it 1; else choose another --seed or label more images."
    return text + remedy if text else ""


def check(
    root: Path, lists: dict[str, str], unlabeled: list[Path], form: dict[str, str | bool], num_classes: int, fault: str
) -> None:
    """Read every file as training will, and say what is odd.

    Raises:
        PrepareError: If training would refuse the data, or if there is a ``fault`` in the labels.
    """
    load = [dict(type="LoadImage"), dict(type="LoadSegMask")]
    masked = dict(
        type="BaseSegDataset",
        data_root=str(root),
        data_prefix=dict(img_path="images", seg_map_path="masks"),
        metainfo=dict(classes=[f"class {label}" for label in range(num_classes)]),
        pipeline=load,
        **form,
    )
    others = dict(type="UnlabeledDataset", source=[str(path) for path in unlabeled], pipeline=load[:1])
    with TemporaryDirectory() as folder:
        for name, text in lists.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        cfg = Config(
            dict(
                train_dataloader=dict(dataset=dict(masked, ann_file=f"{folder}/labeled.txt")),
                unlabeled_dataloader=dict(dataset=others),
                val_dataloader=dict(dataset=dict(masked, ann_file=f"{folder}/val.txt")),
                train_cfg=dict(type="PseudoLabelLoop"),
            )
        )
        init_default_scope("mmseg")
        report = report_data(cfg, progress=make_progress("read sample"))
    report.findings = [finding for finding in report.findings if finding.kind != "class"]  # ``fault`` says it
    found = [fault] * bool(fault) + [report.describe_findings(with_keys=False)] * bool(report.findings)
    if fault or not report.ok:
        raise PrepareError("\n".join(found))
    if found:
        say(found[0])


def prepare(root: Path, options: argparse.Namespace) -> None:
    """Check the folder, write the lists and say what comes next."""
    images = find_files(root / "images", "image", IMAGE_SUFFIXES, "img_suffix")
    masks = find_files(root / "masks", "mask", MASK_SUFFIXES, "seg_map_suffix")
    counts = count_labels(masks, images)
    # of a few masks a fifth may round to none
    held_out = max(options.val, Fraction(1, len(counts)))
    val, labeled = draw_labeled(list(counts), held_out, options.seed)
    say(f"{len(images)} images, {len(counts)} with a mask: {len(labeled)} labeled, {len(val)} for validation")
    first, given = int(options.reduce_zero_label), options.num_classes is not None
    shares = {part: sum(counts[name] for name in names) for part, names in (("labeled", labeled), ("val", val))}
    labels = [first + int(place) for place in np.flatnonzero(sum(shares.values())[first:IGNORE])]
    classes = range(first, first + (options.num_classes if given else len(labels)))
    describe(shares, sorted({*labels, *classes}), first)
    fault = find_label_fault(counts, shares["labeled"], classes, given)
    lists = {"labeled.txt": join_lines(labeled), "val.txt": join_lines(val)}
    find_changes(root, lists, options.force)  # refuses before the files are read, which takes long
    unlabeled = find_unlabeled(root, images, set(counts))
    if not unlabeled:
        raise PrepareError(f"No unlabeled image: put some into {root / 'unlabeled'}, any folders inside.")
    say(f"{len(unlabeled)} unlabeled images")
    files = dict(img_suffix=images, seg_map_suffix=masks)
    form = {key: next(iter(found.values())).suffix for key, found in files.items()}
    form["reduce_zero_label"] = options.reduce_zero_label
    check(root, lists, unlabeled, form, max([*labels, *classes, first]) - first + 1, fault)
    write_texts(root, lists, options.force)
    link_rest(root, images, set(counts))
    settings = ", ".join(f"{key} = {value!r}" for key, value in form.items())
    more = "" if given else " (if there are more, which no mask shows, give --num-classes)"
    say(f"Ready: {root}. In your config: {settings}, and the {len(classes)} classes above{more}.")


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; the exit code is 1 where the user has to correct something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", metavar="ROOT", type=Path)
    parser.add_argument(
        "--val", type=parse_fraction, default=parse_fraction("1/5"), help="share held out (default: 1/5)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--reduce-zero-label", action="store_true", help="0 in the masks is ignored, the classes are 1 ... K"
    )
    parser.add_argument(
        "--num-classes", type=int, metavar="K", help="if no mask shows some of the K classes (default: those found)"
    )
    parser.add_argument("--force", action="store_true", help="replace lists of other content")
    options = parser.parse_args(arguments)
    if options.num_classes is not None and not 2 <= options.num_classes <= IGNORE - options.reduce_zero_label:
        parser.error(f"--num-classes {options.num_classes}: at least 2, at most {IGNORE - options.reduce_zero_label}")
    return run_tool(prepare, options.root, options)


if __name__ == "__main__":
    sys.exit(main())
