"""Prepares COCO 2017 for semantic segmentation: 81-class masks from the instance annotations, images linked.

    python tools/prepare/coco.py SRC --out data/coco --workers 8

SRC holds train2017/, val2017/ and annotations/instances_{train2017,val2017}.json, or the official archives
train2017.zip, val2017.zip, annotations_trainval2017.zip (unpacked into OUT/unpacked). OUT gets
masks/<split>/<12 digits>.png, links <split> to the images and the list of all ids, <split>.txt.

Masks: 0 is background, 1..80 are the categories in the order of their ids (COCO81Dataset). Crowd regions get
their category, not 255, as in the common loaders of COCO for semantic segmentation; they are painted first, then
the objects, the larger ones first, so that what is small stays visible. The masks behind the published
semi-supervised numbers are shared as files without their recipe; theirs may differ where objects overlap.

Running it again is safe and goes on where it was stopped: complete masks are left alone. One run per OUT.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from _archives import Part, read_ids, refuse_link, run_tool, warn_count, write_ids
from _masks import default_workers, is_whole_png, read_size, remove_leftovers, run_parallel, write_png
from _splits import PrepareError, link, say

SPLITS = {"train2017": 118287, "val2017": 5000}
NUM_CATEGORIES = 80
ANNOTATIONS_URL = "http://images.cocodataset.org/annotations/annotations_trainval2017.zip"


def find_parts(split: str) -> tuple[Part, Part]:
    """Returns where images and annotations of a split may come from."""
    name = f"instances_{split}.json"
    images = Part(
        f"the images of COCO {split}",
        (split, f"images/{split}"),
        (f"{split}.zip",),
        f"http://images.cocodataset.org/zips/{split}.zip",
    )
    annotations = Part(
        f"COCO's {name}", (f"annotations/{name}", name), ("annotations_trainval2017.zip",), ANNOTATIONS_URL
    )
    return images, annotations


def import_mask_utils() -> object:
    """Imports pycocotools.

    Returns:
        Its module ``mask``.

    Raises:
        PrepareError: If it is not installed.
    """
    try:
        from pycocotools import mask
    except ImportError as error:
        raise PrepareError("pycocotools is not installed. Install it: pip install pycocotools") from error
    return mask


def encode(annotation: dict, height: int, width: int) -> dict | None:
    """Turns the polygons or the run lengths of one annotation into pycocotools' compressed run lengths.

    Args:
        annotation: Of COCO's json.
        height: Of the image.
        width: Of the image.

    Returns:
        The run lengths; None if there is no area.

    Raises:
        PrepareError: If the run lengths are those of another image size.
    """
    mask = import_mask_utils()
    shape = annotation["segmentation"]
    if isinstance(shape, list):
        # pycocotools takes 4 numbers for a box
        polygons = [polygon for polygon in shape if len(polygon) >= 6]
        return mask.merge(mask.frPyObjects(polygons, height, width)) if polygons else None
    if list(shape["size"]) != [height, width]:
        raise PrepareError(
            f"Annotation {annotation['id']} of image {annotation['image_id']} is {shape['size']}, its image "
            f"{[height, width]} (height, width): the annotation file is damaged or changed."
        )
    return mask.frPyObjects(shape, height, width) if isinstance(shape["counts"], list) else shape


def draw_mask(height: int, width: int, annotations: list[dict], labels: dict[int, int]) -> np.ndarray:
    """Paints the annotations of an image: crowd regions first, then objects, the larger ones first.

    Args:
        height: Of the image.
        width: Of the image.
        annotations: Of COCO's json.
        labels: Category id to label.

    Returns:
        (H, W) uint8.
    """
    mask = import_mask_utils()
    shapes = []
    for annotation in annotations:
        lengths = encode(annotation, height, width)
        if lengths is not None:
            order = (not annotation.get("iscrowd", 0), -int(mask.area(lengths)), annotation["id"])
            shapes.append((order, lengths, labels[annotation["category_id"]]))
    painted = np.zeros((height, width), np.uint8)
    for _, lengths, label in sorted(shapes, key=lambda shape: shape[0]):
        painted[mask.decode(lengths) != 0] = label
    return painted


def convert(job: tuple[Path, Path, int, int, list[dict], dict[int, int]]) -> None:
    """Makes the mask of one image.

    Args:
        job: Image, where to, height, width, annotations, labels.

    Raises:
        PrepareError: If the image is not of the size that the annotations name.
    """
    image, path, height, width, annotations, labels = job
    size = read_size(image)
    if size != (width, height):
        raise PrepareError(f"{image} is {size[0]}x{size[1]}, COCO's is {width}x{height}: get the original images.")
    write_png(draw_mask(height, width, annotations, labels), path)


def read_annotations(path: Path) -> tuple[list[dict], dict[int, list[dict]], dict[int, int]]:
    """Reads COCO's json.

    Args:
        path: instances_<split>.json.

    Returns:
        Images sorted by id, annotations per image id, category id to label 1..80.

    Raises:
        PrepareError: If the file is damaged or of another data set.
    """
    say(f"reading {path}")
    try:
        content = json.loads(path.read_bytes())
        images = sorted(content["images"], key=lambda image: image["id"])
        ids = sorted({category["id"] for category in content["categories"]})
        grouped: dict[int, list[dict]] = defaultdict(list)
        for annotation in content["annotations"]:
            grouped[annotation["image_id"]].append(annotation)
        used = {annotation["category_id"] for annotation in content["annotations"]}
    except (ValueError, KeyError, TypeError) as error:
        raise PrepareError(
            f"{path} is not a whole file of COCO instances ({error!r}). Get it again: {ANNOTATIONS_URL}"
        ) from error
    if len(ids) != NUM_CATEGORIES:
        raise PrepareError(f"{path} has {len(ids)} categories, COCO's instances have {NUM_CATEGORIES}.")
    if not used <= set(ids):
        raise PrepareError(f"{path} uses the categories {sorted(used - set(ids))}, which it does not list.")
    return images, grouped, {category: label for label, category in enumerate(ids, start=1)}


def check_images(images: list[dict], folder: Path, url: str) -> None:
    """Checks that every image of the json is there.

    Args:
        images: Of the json.
        folder: Image folder.
        url: Where to get them.

    Raises:
        PrepareError: If one is missing.
    """
    held = {path.name for path in folder.iterdir()}
    missing = [f"{image['id']:012d}.jpg" for image in images if f"{image['id']:012d}.jpg" not in held]
    if missing:
        raise PrepareError(
            f"{len(missing)} of {len(images)} images are missing in {folder}, first: {missing[:3]}. Get them: {url}"
        )


def prepare_split(split: str, source: Path, out: Path, workers: int) -> str:
    """Makes the masks of a split that are not there yet.

    Args:
        split: 'train2017' or 'val2017'.
        source: SRC.
        out: OUT.
        workers: Number of processes.

    Returns:
        A summary.
    """
    images_part, annotations_part = find_parts(split)
    image_folder, annotation_file = (part.require(source, out / "unpacked") for part in (images_part, annotations_part))
    images, annotations, labels = read_annotations(annotation_file)
    check_images(images, image_folder, images_part.url)
    masks = out / "masks" / split
    for folder in (masks.parent, masks):
        refuse_link(folder)
    remove_leftovers(masks)
    link(image_folder, out / split)
    jobs = []
    for image in images:
        name, height, width = f"{image['id']:012d}", image["height"], image["width"]
        path = masks / f"{name}.png"
        if not is_whole_png(path, (width, height)):
            jobs.append((image_folder / f"{name}.jpg", path, height, width, annotations.get(image["id"], []), labels))
    say(f"{split}: {len(images)} images, {len(images) - len(jobs)} masks are there, {len(jobs)} to make")
    run_parallel(convert, jobs, workers, f"{split}: masks")
    write_ids(out / f"{split}.txt", (f"{image['id']:012d}" for image in images))
    warn_count(split, len(images), SPLITS[split])
    return f"{len(read_ids(out / f'{split}.txt'))} {split}"


def main(arguments: list[str] | None = None) -> int:
    """Command line.

    Args:
        arguments: Default: those of the process.

    Returns:
        0, or 1 after an error that has been explained on stderr.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SRC", type=Path)
    parser.add_argument("--out", type=Path, default=Path("data/coco"))
    parser.add_argument("--splits", nargs="+", choices=list(SPLITS), default=list(SPLITS))
    parser.add_argument("--workers", type=int, default=default_workers(), help="processes (default: all cores)")
    options = parser.parse_args(arguments)

    def prepare() -> None:
        import_mask_utils()
        counts = [prepare_split(split, options.source, options.out, options.workers) for split in options.splits]
        say(f"Ready: {options.out} with {', '.join(counts)} images and masks of {NUM_CATEGORIES + 1} classes.")

    return run_tool(prepare)


if __name__ == "__main__":
    sys.exit(main())
