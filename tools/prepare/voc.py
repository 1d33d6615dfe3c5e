"""Prepares PASCAL VOC 2012 with the augmented masks (SBD): 10582 training images, 21 classes.

    python tools/prepare/voc.py SRC --out data/VOCdevkit/VOC2012

SRC is VOCtrainval_11-May-2012.tar, the unpacked VOC2012 (or a folder that holds either). The augmented masks come
from --sbd, by default from SRC: benchmark.tgz or benchmark_RELEASE (Matlab files, converted), or a ready-made
folder SegmentationClassAug or SegmentationClassAug.zip. Archives are unpacked into OUT/unpacked.

OUT gets JPEGImages (a link), SegmentationClassAug (0..20, 255 = void; links, or converted files) and
ImageSets/Segmentation/{train,val,trainval,train_aug}.txt. Where VOC has a mask of its own in SegmentationClass, it
is taken. train_aug is everything that has a mask, (SBD train + SBD val + VOC train) - VOC val; with ready-made
masks SRC's train_aug.txt, or all masks but those of val. SRC and OUT may be the same folder; no file of it is
changed. Running it again is safe and changes nothing. One run per OUT.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from _archives import Part, read_ids, refuse_link, run_tool, unpack, warn_count, write_ids
from _masks import (
    check_labels,
    default_workers,
    is_whole_png,
    read_labels,
    read_size,
    remove_leftovers,
    run_parallel,
    write_png,
)
from _splits import PrepareError, link, say

LABELS = frozenset({*range(21), 255})
COUNTS = {"train": 1464, "val": 1449, "trainval": 2913, "train_aug": 10582}
LISTS = Path("ImageSets/Segmentation")
VOC = Part(
    "PASCAL VOC 2012 (JPEGImages)",
    ("JPEGImages", "VOC2012/JPEGImages", "VOCdevkit/VOC2012/JPEGImages"),
    ("VOCtrainval_11-May-2012.tar",),
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
)
SBD_URL = "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz"
SBD = Part(
    "SBD", ("cls", "dataset/cls", "benchmark_RELEASE/dataset/cls"), ("benchmark.tgz", "benchmark.tar.gz"), SBD_URL
)
READY = Part("ready-made masks", ("SegmentationClassAug",), ("SegmentationClassAug.zip",), SBD_URL)


def read_sbd(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Reads a mask of SBD.

    Args:
        path: dataset/cls/<id>.mat.
        size: Width and height of its image.

    Returns:
        (H, W) uint8.

    Raises:
        PrepareError: If scipy is missing or the file is wrong.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise PrepareError("scipy is not installed. Install it: pip install scipy") from error
    try:
        labels = np.asarray(loadmat(path)["GTcls"]["Segmentation"][0, 0])
    except Exception as error:  # scipy raises whatever the damaged bytes lead to
        raise PrepareError(f"{path} is not a mask of SBD: {error!r}. Get it again: {SBD_URL}") from error
    check_labels(labels, path, size, LABELS)
    return labels.astype(np.uint8)


def convert(job: tuple[Path, Path, Path]) -> None:
    """Checks one mask and puts it, linked or converted, into OUT.

    Args:
        job: Image, mask (.png or .mat), mask of OUT.
    """
    image, mask, path = job
    size = read_size(image)
    if mask.suffix == ".png":
        read_labels(mask, size, LABELS)
        if path != mask:
            link(mask, path)
    elif path.is_symlink() or not is_whole_png(path, size):
        refuse_link(path)
        write_png(read_sbd(mask, size), path)


def find_augmented(voc: Path, source: Path, sbd: Path | None, unpacked: Path) -> tuple[str, Path]:
    """Finds the augmented masks.

    Args:
        voc: Folder that holds JPEGImages.
        source: SRC.
        sbd: Argument --sbd.
        unpacked: Folder for what is unpacked.

    Returns:
        '.mat' or '.png', and the folder of such files.

    Raises:
        PrepareError: If there are none.
    """
    if sbd is not None and sbd.exists():
        folder = unpack(sbd, unpacked) if sbd.is_file() else sbd
        for place in (folder, folder / "SegmentationClassAug", folder / "SegmentationClass"):
            if next(place.glob("*.png"), None):
                return ".png", place
    places = [sbd] if sbd is not None else [voc, source] if source.is_dir() else [voc]
    for place in (place for place in places if place.exists()):
        for part, suffix in ((SBD, ".mat"), (READY, ".png")):
            found = part.find(place, unpacked)
            if found is not None:
                return suffix, found
    raise PrepareError(
        f"Missing: the augmented masks. Looked in {' and '.join(map(str, places))} for benchmark_RELEASE/dataset/cls, "
        f"benchmark.tgz, SegmentationClassAug, SegmentationClassAug.zip. Get them at {SBD_URL} and name the file or "
        "its folder with --sbd."
    )


def make_lists(voc: Path, kind: str, augmented: Path) -> dict[str, list[str]]:
    """Makes the lists of ids.

    Args:
        voc: Folder that holds ImageSets.
        kind: As from ``find_augmented``.
        augmented: As from ``find_augmented``.

    Returns:
        Name to ids: val, train_aug, and what else SRC has of train and trainval.

    Raises:
        PrepareError: If a list is missing that is needed.
    """
    lists = {n: read_ids(p) for n in ("train", "val", "trainval") if (p := voc / LISTS / f"{n}.txt").is_file()}
    for name in ("val", "train") if kind == ".mat" else ("val",):
        if name not in lists:
            raise PrepareError(f"Missing: {voc / LISTS / f'{name}.txt'}. It is part of {VOC.url}")
    ready = voc / LISTS / "train_aug.txt"
    if kind == ".mat":
        sbd = [augmented.parent / f"{name}.txt" for name in ("train", "val")]
        missing = [str(path) for path in sbd if not path.is_file()]
        if missing:
            raise PrepareError(f"Missing: {', '.join(missing)}. They are part of {SBD_URL}")
        held = {*read_ids(sbd[0]), *read_ids(sbd[1]), *lists["train"]}
    elif ready.is_file():
        held = set(read_ids(ready))
        overlap = sorted(held & set(lists["val"]))
        if overlap:
            raise PrepareError(f"{ready} and val.txt share {len(overlap)} ids, first: {overlap[:3]}. Remove {ready}.")
    else:
        held = {path.stem for path in augmented.glob("*.png")} | set(lists.get("train", ()))
    lists["train_aug"] = sorted(held - set(lists["val"]))
    return lists


def list_jobs(voc: Path, augmented: Path, kind: str, ids: list[str], masks: Path) -> list[tuple[Path, Path, Path]]:
    """Pairs images with the masks to take, VOC's own first.

    Args:
        voc: Folder that holds JPEGImages.
        augmented: Folder of the augmented masks.
        kind: Their suffix.
        ids: Ids of all lists.
        masks: SegmentationClassAug of OUT.

    Returns:
        Jobs for ``convert``.

    Raises:
        PrepareError: If images or masks are missing.
    """
    in_place = masks.exists() and masks.resolve() == augmented.resolve()
    own_folder = augmented if in_place else voc / "SegmentationClass"
    own, other, images = (
        {path.stem: path for path in folder.glob(f"*{suffix}")}
        for folder, suffix in ((own_folder, ".png"), (augmented, kind), (voc / "JPEGImages", ".jpg"))
    )
    for what, held, url in (("images", images, VOC.url), ("masks", {*own, *other}, SBD_URL)):
        missing = [name for name in ids if name not in held]
        if missing:
            raise PrepareError(
                f"{len(missing)} of {len(ids)} {what} are missing, first: {missing[:3]}. Get them: {url}"
            )
    return [(images[i], own.get(i) or other[i], own[i] if in_place else masks / f"{i}.png") for i in ids]


def prepare(source: Path, sbd: Path | None, out: Path, workers: int) -> None:
    """Does everything; see the top of this file.

    Args:
        source: SRC.
        sbd: Augmented masks, or None to look for them in SRC.
        out: OUT.
        workers: Number of processes.

    Raises:
        PrepareError: On anything the user has to correct.
    """
    unpacked = out / "unpacked"
    voc = VOC.require(source, unpacked).parent
    kind, augmented = find_augmented(voc, source, sbd, unpacked)
    masks = out / "SegmentationClassAug"
    whole = kind == ".png" and not (voc / "SegmentationClass").is_dir()
    if whole and not masks.exists():
        link(augmented, masks)
    lists = make_lists(voc, kind, augmented)
    ids = sorted(set().union(*lists.values()))
    if not (masks.exists() and masks.resolve() == augmented.resolve()):
        refuse_link(masks)
        remove_leftovers(masks)
    say(f"{voc}: {len(ids)} images; augmented masks: {augmented} ({kind})")
    run_parallel(convert, list_jobs(voc, augmented, kind, ids, masks), workers, "masks")
    link(voc / "JPEGImages", out / "JPEGImages")
    for name, content in lists.items():
        write_ids(out / LISTS / f"{name}.txt", content)
        warn_count(name, len(content), COUNTS[name])
    say(f"Ready: {out} with {', '.join(f'{len(content)} {name}' for name, content in lists.items())} images.")


def main(arguments: list[str] | None = None) -> int:
    """Command line.

    Args:
        arguments: Default: those of the process.

    Returns:
        0, or 1 after an error that has been explained on stderr.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SRC", type=Path)
    parser.add_argument("--sbd", type=Path, help="SBD or ready-made masks, a folder or an archive (default: in SRC)")
    parser.add_argument("--out", type=Path, default=Path("data/VOCdevkit/VOC2012"))
    parser.add_argument("--workers", type=int, default=default_workers(), help="processes (default: all cores)")
    options = parser.parse_args(arguments)
    return run_tool(lambda: prepare(options.source, options.sbd, options.out, options.workers))


if __name__ == "__main__":
    sys.exit(main())
