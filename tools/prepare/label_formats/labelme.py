"""labelme's JSON: a file beside each image."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _files import PrepareError
from PIL import Image

from .shapes import Export, Fill, box, ellipse, patch, polygon


def _fill(shape: dict) -> Fill | None:
    """Pixels of a shape, None for points and lines."""
    kind, points = shape.get("shape_type") or "polygon", np.array(shape["points"], float)
    if kind == "polygon" and len(points) > 2:
        return polygon(points)
    if kind == "rectangle":
        (x, y), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return box(x, y, right - x, bottom - y)
    if kind == "circle":
        radius = float(np.linalg.norm(points[1] - points[0]))  # the second point is on its edge
        return ellipse(*points[0], radius, radius)
    if kind == "mask":
        pixels = np.array(Image.open(io.BytesIO(base64.b64decode(shape["mask"]))))
        return patch(*points[0].astype(int), pixels)
    return None


def read(files: Sequence[Path], root: Path) -> Export:
    """Read the files of some images, which are named as the images are from the folder ``root`` on."""
    export = Export(root)
    for path in files:
        try:
            content = json.loads(path.read_bytes())
            shapes = [(shape["label"], _fill(shape), str(shape.get("shape_type"))) for shape in content["shapes"]]
            width, height = content.get("imageWidth"), content.get("imageHeight")
        except (KeyError, TypeError, ValueError, OSError, IndexError) as error:
            raise PrepareError(f"{path} is no whole labelme file ({error!r}): save it again.") from error
        # named after the image; imagePath may lead to where it once was
        export.add(
            path.relative_to(root).with_suffix("").as_posix(), (width, height) if width and height else None, shapes
        )
    return export
