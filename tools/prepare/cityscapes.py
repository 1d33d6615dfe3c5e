"""Prepares Cityscapes: masks with the 19 training ids, images linked.

    python tools/prepare/cityscapes.py SRC --out data/cityscapes --workers 8

SRC holds leftImg8bit/{train,val}/<city>/ and gtFine/{train,val}/<city>/, or the official archives
leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip (unpacked into OUT/unpacked). OUT gets links
leftImg8bit/{train,val}, gtFine/{train,val}/<city>/*_gtFine_labelTrainIds.png and the lists train.txt, val.txt of
ids as <split>/<city>/<name>, to be read with data_prefix=dict(img_path='leftImg8bit', seg_map_path='gtFine').

Masks are made from *_gtFine_labelIds.png by the official table; where SRC has only *_gtFine_labelTrainIds.png
they are checked and linked. SRC is never written to. Running it again is safe and goes on where it was stopped.
One run per OUT.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from _files import Part, PrepareError, link, require_all, run_tool, say, write_ids
from _masks import VOID, convert, make_parser, prepare_folder, run_parallel

SPLITS = {"train": 2975, "val": 500}
# labels.py of cityscapesScripts: these ids are evaluated, in this order; all others are void
EVALUATED_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
LABELS = dict.fromkeys(range(34), VOID) | {label: place for place, label in enumerate(EVALUATED_IDS)}
TRAIN_LABELS = {label: label for label in (*range(len(EVALUATED_IDS)), VOID)}
IMAGE_SUFFIX = "_leftImg8bit.png"
IDS_SUFFIX = "_gtFine_labelIds.png"
TRAIN_IDS_SUFFIX = "_gtFine_labelTrainIds.png"
URL = "https://www.cityscapes-dataset.com/downloads/ (after registration)"
PARTS = {
    name: Part(
        f"Cityscapes' {name}", (f"{name}/train",), (f"{name}_trainvaltest.zip",), f"{URL}: {name}_trainvaltest.zip"
    )
    for name in ("leftImg8bit", "gtFine")
}


def list_jobs(images: Path, masks: Path, out: Path) -> dict[str, tuple]:
    """Pair the images of a split with their masks: <city>/<name> to the job for ``convert``, sorted."""
    files = {
        f"{image.parent.name}/{image.name.removesuffix(IMAGE_SUFFIX)}": image
        for image in sorted(images.glob(f"*/*{IMAGE_SUFFIX}"))
    }
    jobs = {}
    for name, image in files.items():
        for suffix, labels in ((TRAIN_IDS_SUFFIX, TRAIN_LABELS), (IDS_SUFFIX, LABELS)):  # the latter wins
            if (mask := masks / f"{name}{suffix}").is_file():
                jobs[name] = (image, mask, out / f"{name}{TRAIN_IDS_SUFFIX}", labels)
    require_all(f"masks in {masks}", list(files), jobs, f"Get them: {PARTS['gtFine'].url}")
    if not jobs:
        raise PrepareError(f"{images} holds no <city>/*{IMAGE_SUFFIX}. Get them: {PARTS['leftImg8bit'].url}")
    return jobs


def prepare(options: argparse.Namespace) -> None:
    """Do everything; see the top of this file."""
    out, ours = options.out, options.out / "gtFine"
    images, masks = (part.require(options.source, out / "unpacked").parent for part in PARTS.values())
    if ours.resolve() == masks.resolve():
        raise PrepareError(f"{ours} is the original gtFine, which is not written to: choose another --out.")
    counts = []
    for split, expected in SPLITS.items():
        jobs = list_jobs(images / split, masks / split, ours / split)
        prepare_folder(ours / split)
        say(f"{split}: {len(jobs)} images")
        run_parallel(convert, list(jobs.values()), options.workers, f"{split}: masks")
        link(images / split, out / "leftImg8bit" / split)
        write_ids(out / f"{split}.txt", [f"{split}/{name}" for name in jobs], expected)
        counts.append(f"{len(jobs)} {split}")
    say(f"Ready: {out} with {', '.join(counts)} images and masks of {len(EVALUATED_IDS)} classes.")


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; the exit code is 1 after an error that has been explained on stderr."""
    return run_tool(prepare, make_parser(__doc__, "data/cityscapes").parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
