"""COCO's JSON, as most label tools export it: polygons and run lengths, drawn by pycocotools."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
from _files import PrepareError
from coco import encode, mask_utils

from .shapes import Export


def _fill(annotation: dict, height: int, width: int) -> np.ndarray:
    lengths = encode(annotation, height, width)
    return np.zeros((height, width), np.uint8) if lengths is None else mask_utils.decode(lengths)


def read(source: Path, content: dict) -> Export:
    """Read an export; crowds are drawn first, then objects, the larger ones first, so that small ones stay visible."""
    if mask_utils is None:
        raise PrepareError(f"{source} is COCO JSON, which pycocotools reads. Install it: pip install pycocotools")
    try:
        names = {category["id"]: category["name"] for category in sorted(content["categories"], key=lambda c: c["id"])}
        shapes: dict[int, list[tuple]] = defaultdict(list)
        export = Export(source, classes=tuple(names.values()))
        for annotation in content["annotations"]:
            order = (not annotation.get("iscrowd", 0), -annotation.get("area", 0), annotation["id"])
            fill = partial(_fill, annotation) if annotation.get("segmentation") else None
            shapes[annotation["image_id"]].append((order, names[annotation["category_id"]], fill, "box or point"))
        for image in content["images"]:
            drawn = sorted(shapes[image["id"]], key=lambda shape: shape[0])
            export.add(image["file_name"], (image["width"], image["height"]), (shape[1:] for shape in drawn))
    except (KeyError, TypeError) as error:
        raise PrepareError(f"{source} is no whole COCO file ({error!r}): export it again.") from error
    return export
