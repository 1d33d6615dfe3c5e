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

from _files import Part, PrepareError, link, require_all, run_tool, say, write_ids
from _masks import VOID, convert, make_parser, prepare_folder, run_parallel

LABELS = {label: label for label in (*range(21), VOID)}
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


def read_ids(path: Path, url: str) -> list[str]:
    """Read a list of ids, one a line, that is part of what ``url`` holds."""
    if not path.is_file():
        raise PrepareError(f"Missing: {path}. It is part of {url}")
    return path.read_text().split()


def find_augmented(places: list[Path], unpacked: Path) -> tuple[str, Path]:
    """Find the augmented masks; returns '.mat' or '.png', and the folder of such files."""
    for place in places:
        for part, suffix in ((SBD, ".mat"), (READY, ".png")):
            if (found := part.find(place, unpacked)) is not None:
                return suffix, found
    raise PrepareError(
        f"Missing: the augmented masks. Looked in {' and '.join(map(str, places))} for benchmark_RELEASE/dataset/cls, "
        f"benchmark.tgz, SegmentationClassAug, SegmentationClassAug.zip. Get them at {SBD_URL} and name the file or "
        "its folder with --sbd."
    )


def make_lists(voc: Path, kind: str, augmented: Path) -> dict[str, list[str]]:
    """Make the lists of ids: val, train_aug, and what else SRC has of train and trainval."""
    folder, needed = voc / LISTS, ("val", "train") if kind == ".mat" else ("val",)
    names = [n for n in ("train", "val", "trainval") if n in needed or (folder / f"{n}.txt").is_file()]
    lists = {name: read_ids(folder / f"{name}.txt", VOC.url) for name in names}
    val, ready = set(lists["val"]), folder / "train_aug.txt"
    if kind == ".mat":
        sbd = (read_ids(augmented.parent / f"{name}.txt", SBD_URL) for name in ("train", "val"))
        held = set(lists["train"]).union(*sbd)
    elif ready.is_file():
        held = set(read_ids(ready, VOC.url))
        if overlap := sorted(held & val):
            raise PrepareError(f"{ready} and val.txt share {len(overlap)} ids, first: {overlap[:3]}. Remove {ready}.")
    else:
        held = {path.stem for path in augmented.glob("*.png")} | set(lists.get("train", ()))
    return lists | dict(train_aug=sorted(held - val))


def list_jobs(voc: Path, augmented: Path, kind: str, ids: list[str], masks: Path) -> list[tuple]:
    """Pair images with the masks to take, VOC's own first, and with where they go: jobs for ``convert``."""
    images = {path.stem: path for path in (voc / "JPEGImages").glob("*.jpg")}
    found = {path.stem: path for path in augmented.glob(f"*{kind}")}
    if masks.resolve() != augmented.resolve():  # else they are in place
        prepare_folder(masks)
        found |= {path.stem: path for path in (voc / "SegmentationClass").glob("*.png")}
    require_all("images", ids, images, f"Get them: {VOC.url}")
    require_all("masks", ids, found, f"Get them: {SBD_URL}")
    return [(images[i], found[i], masks / f"{i}.png", LABELS) for i in ids]


def prepare(options: argparse.Namespace) -> None:
    """Do everything; see the top of this file."""
    out, unpacked, sbd = options.out, options.out / "unpacked", options.sbd
    voc = VOC.require(options.source, unpacked).parent
    if sbd is not None and next(sbd.glob("*.png"), None):
        kind, augmented = ".png", sbd
    else:
        kind, augmented = find_augmented([voc, options.source] if sbd is None else [sbd], unpacked)
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
