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
from _files import Part, PrepareError, link, refuse_link, run_tool, say, write_ids
from _masks import (
    check_labels,
    is_whole_png,
    make_parser,
    read_labels,
    read_size,
    remove_leftovers,
    run_parallel,
    write_png,
)

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


def read_ids(path: Path) -> list[str]:
    """Read a list of ids, one a line."""
    return path.read_text().split()


def read_sbd(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read a mask of SBD, dataset/cls/<id>.mat, of an image of this width and height: (H, W) uint8.

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
    return check_labels(labels, path, size, LABELS)


def convert(job: tuple[Path, Path, Path]) -> None:
    """Check the mask of an image (.png or .mat) and put it, linked or converted, into OUT."""
    image, mask, path = job
    size = read_size(image)
    if mask.suffix == ".png":
        read_labels(mask, size, LABELS)
        link(mask, path)
    elif not is_whole_png(path, size):
        refuse_link(path)
        write_png(read_sbd(mask, size), path)


def find_augmented(voc: Path, source: Path, sbd: Path | None, unpacked: Path) -> tuple[str, Path]:
    """Find the augmented masks; returns '.mat' or '.png', and the folder of such files.

    Raises:
        PrepareError: If there are none.
    """
    places = [voc, source] if sbd is None else [sbd]
    for place in places:
        if sbd is not None and next(place.glob("*.png"), None):
            return ".png", place
        for part, suffix in ((SBD, ".mat"), (READY, ".png")):
            if (found := part.find(place, unpacked)) is not None:
                return suffix, found
    raise PrepareError(
        f"Missing: the augmented masks. Looked in {' and '.join(map(str, places))} for benchmark_RELEASE/dataset/cls, "
        f"benchmark.tgz, SegmentationClassAug, SegmentationClassAug.zip. Get them at {SBD_URL} and name the file or "
        "its folder with --sbd."
    )


def make_lists(voc: Path, kind: str, augmented: Path) -> dict[str, list[str]]:
    """Make the lists of ids: val, train_aug, and what else SRC has of train and trainval.

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
        if missing := [str(path) for path in sbd if not path.is_file()]:
            raise PrepareError(f"Missing: {', '.join(missing)}. They are part of {SBD_URL}")
        held = {*read_ids(sbd[0]), *read_ids(sbd[1]), *lists["train"]}
    elif ready.is_file():
        held = set(read_ids(ready))
        if overlap := sorted(held & set(lists["val"])):
            raise PrepareError(f"{ready} and val.txt share {len(overlap)} ids, first: {overlap[:3]}. Remove {ready}.")
    else:
        held = {path.stem for path in augmented.glob("*.png")} | set(lists.get("train", ()))
    return lists | dict(train_aug=sorted(held - set(lists["val"])))


def list_jobs(voc: Path, augmented: Path, kind: str, ids: list[str], masks: Path) -> list[tuple[Path, Path, Path]]:
    """Pair images with the masks to take, VOC's own first, and with where they go: jobs for ``convert``.

    Raises:
        PrepareError: If images or masks are missing.
    """
    images = {path.stem: path for path in (voc / "JPEGImages").glob("*.jpg")}
    found = {path.stem: path for path in augmented.glob(f"*{kind}")}
    if masks.resolve() != augmented.resolve():  # else they are in place
        refuse_link(masks)
        remove_leftovers(masks)
        found |= {path.stem: path for path in (voc / "SegmentationClass").glob("*.png")}
    for what, held, url in (("images", images, VOC.url), ("masks", found, SBD_URL)):
        if missing := [name for name in ids if name not in held]:
            raise PrepareError(
                f"{len(missing)} of {len(ids)} {what} are missing, first: {missing[:3]}. Get them: {url}"
            )
    return [(images[i], found[i], masks / f"{i}.png") for i in ids]


def prepare(options: argparse.Namespace) -> None:
    """Do everything; see the top of this file.

    Raises:
        PrepareError: On anything the user has to correct.
    """
    out, unpacked = options.out, options.out / "unpacked"
    voc = VOC.require(options.source, unpacked).parent
    kind, augmented = find_augmented(voc, options.source, options.sbd, unpacked)
    lists = make_lists(voc, kind, augmented)
    ids = sorted(set().union(*lists.values()))
    say(f"{voc}: {len(ids)} images; augmented masks: {augmented} ({kind})")
    jobs = list_jobs(voc, augmented, kind, ids, out / "SegmentationClassAug")
    run_parallel(convert, jobs, options.workers, "masks")
    link(voc / "JPEGImages", out / "JPEGImages")
    for name, content in lists.items():
        write_ids(out / LISTS / f"{name}.txt", content, COUNTS[name])
    say(f"Ready: {out} with {', '.join(f'{len(content)} {name}' for name, content in lists.items())} images.")


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; the exit code is 1 after an error that has been explained on stderr."""
    parser = make_parser(__doc__, "data/VOCdevkit/VOC2012")
    parser.add_argument("--sbd", type=Path, help="SBD or ready-made masks, a folder or an archive (default: in SRC)")
    return run_tool(prepare, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
