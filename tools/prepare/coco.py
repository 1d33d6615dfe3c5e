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
from _files import Part, PrepareError, link, require_all, run_tool, say, write_ids
from _masks import is_whole_png, make_parser, prepare_folder, read_size, run_parallel, write_png

try:
    from pycocotools import mask as mask_utils
except ImportError:
    mask_utils = None

SPLITS = {"train2017": 118287, "val2017": 5000}
NUM_CATEGORIES = 80
ANNOTATIONS_URL = "http://images.cocodataset.org/annotations/annotations_trainval2017.zip"


def find_parts(split: str) -> tuple[Part, Part]:
    """Return where images and annotations of a split may come from."""
    name, url = f"instances_{split}.json", f"http://images.cocodataset.org/zips/{split}.zip"
    images = Part(f"the images of COCO {split}", (split, f"images/{split}"), (f"{split}.zip",), url)
    places = (f"annotations/{name}", name)
    return images, Part(f"COCO's {name}", places, ("annotations_trainval2017.zip",), ANNOTATIONS_URL)


def encode(annotation: dict, height: int, width: int) -> dict | None:
    """Turn an annotation's polygons or run lengths into pycocotools' compressed run lengths; None without an area."""
    shape = annotation["segmentation"]
    if isinstance(shape, list):
        # pycocotools takes 4 numbers for a box
        polygons = [polygon for polygon in shape if len(polygon) >= 6]
        return mask_utils.merge(mask_utils.frPyObjects(polygons, height, width)) if polygons else None
    if list(shape["size"]) != [height, width]:
        raise PrepareError(
            f"Annotation {annotation['id']} of image {annotation['image_id']} is {shape['size']}, its image "
            f"{[height, width]} (height, width): the annotation file is damaged or changed."
        )
    return mask_utils.frPyObjects(shape, height, width) if isinstance(shape["counts"], list) else shape


def draw_mask(height: int, width: int, annotations: list[dict], labels: dict[int, int]) -> np.ndarray:
    """Paint an image's annotations, crowd regions first, then objects, the larger ones first: (H, W) uint8."""
    shapes = []
    for annotation in annotations:
        lengths = encode(annotation, height, width)
        if lengths is not None:
            order = (not annotation.get("iscrowd", 0), -int(mask_utils.area(lengths)), annotation["id"])
            shapes.append((order, lengths, labels[annotation["category_id"]]))
    painted = np.zeros((height, width), np.uint8)
    for _, lengths, label in sorted(shapes, key=lambda shape: shape[0]):
        painted[mask_utils.decode(lengths) != 0] = label
    return painted


def convert(job: tuple[Path, Path, int, int, list[dict], dict[int, int]]) -> None:
    """Make the mask of one image: image, where to, height, width, annotations, labels."""
    image, path, height, width, annotations, labels = job
    size = read_size(image)
    if size != (width, height):
        raise PrepareError(f"{image} is {size[0]}x{size[1]}, COCO's is {width}x{height}: get the original images.")
    write_png(draw_mask(height, width, annotations, labels), path)


def read_annotations(path: Path) -> tuple[list[dict], dict[int, list[dict]], dict[int, int]]:
    """Read instances_<split>.json: images sorted by id, annotations per image id, category id to label 1..80."""
    say(f"reading {path}")
    try:
        content = json.loads(path.read_bytes())
        images = sorted(content["images"], key=lambda image: image["id"])
        ids = sorted({category["id"] for category in content["categories"]})
        grouped: dict[int, list[dict]] = defaultdict(list)
        for annotation in content["annotations"]:
            grouped[annotation["image_id"]].append(annotation)
    except (ValueError, KeyError, TypeError) as error:
        raise PrepareError(
            f"{path} is not a whole file of COCO instances ({error!r}). Get it again: {ANNOTATIONS_URL}"
        ) from error
    if len(ids) != NUM_CATEGORIES:
        raise PrepareError(f"{path} has {len(ids)} categories, COCO's instances have {NUM_CATEGORIES}.")
    return images, grouped, {category: label for label, category in enumerate(ids, start=1)}


def prepare_split(split: str, options: argparse.Namespace) -> str:
    """Make the masks of 'train2017' or 'val2017' that are not there yet; returns a summary."""
    out, parts = options.out, find_parts(split)
    folder, annotation_file = (part.require(options.source, out / "unpacked") for part in parts)
    images, annotations, labels = read_annotations(annotation_file)
    names, held = [f"{image['id']:012d}" for image in images], {path.stem for path in folder.glob("*.jpg")}
    require_all(f"images in {folder}", names, held, f"Get them: {parts[0].url}")
    masks = out / "masks" / split
    prepare_folder(masks)
    link(folder, out / split)
    jobs = []
    for name, image in zip(names, images, strict=True):
        path, height, width = masks / f"{name}.png", image["height"], image["width"]
        if not is_whole_png(path, (width, height)):
            jobs.append((folder / f"{name}.jpg", path, height, width, annotations.get(image["id"], []), labels))
    say(f"{split}: {len(images)} images, {len(images) - len(jobs)} masks are there, {len(jobs)} to make")
    run_parallel(convert, jobs, options.workers, f"{split}: masks")
    write_ids(out / f"{split}.txt", names, SPLITS[split])
    return f"{len(names)} {split}"


def prepare(options: argparse.Namespace) -> None:
    """Do everything; see the top of this file."""
    if mask_utils is None:
        raise PrepareError("pycocotools is not installed. Install it: pip install pycocotools")
    counts = ", ".join(prepare_split(split, options) for split in options.splits)
    say(f"Ready: {options.out} with {counts} images and masks of {NUM_CATEGORIES + 1} classes.")


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; the exit code is 1 after an error that has been explained on stderr."""
    parser = make_parser(__doc__, "data/coco")
    parser.add_argument("--splits", nargs="+", choices=list(SPLITS), default=list(SPLITS))
    return run_tool(prepare, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
