"""Label files of people's own data: each format is the function ``read`` of one file.

Formats that list shapes (``coco``, ``cvat``, ``labelme``, ``label_studio``) give an ``Export``; ``shapes.draw_shapes``
makes masks of it. ``masks`` reads image files, in which every pixel is labeled.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from _files import PrepareError

from mmseg_allspark.utils.files import walk_files

from . import coco, cvat, label_studio, labelme, masks, shapes
from .common import Images, Labels, is_labelme, load_json


def read_labels(source: Path, images: Images, options: Namespace) -> Labels:
    """Read labels of whatever format: a folder of masks or of labelme's files, or a file that a tool exported.

    The options are those of own_data.py.
    """
    if source.is_dir():
        if list(walk_files(source, masks.SUFFIXES)) and (options.mask_ending or not _holds_images(source, images)):
            return masks.read(source, images, options)
        files = [path for path in walk_files(source, (".json",)) if is_labelme(load_json(path))]
        if not files:
            raise PrepareError(
                f"{source} holds neither masks ({', '.join(masks.SUFFIXES)}) nor labelme's JSON files. Give an export "
                "in one file, of COCO, CVAT or Label Studio, by the path of the file. IMAGES comes before LABELS."
            )
        root = images.folder if source.is_relative_to(images.folder) else source
        return shapes.draw_shapes(labelme.read(files, root), images, options)
    if not source.is_file():
        raise PrepareError(f"The labels {source} do not exist: give a folder of masks, or an export of a label tool.")
    if source.suffix.lower() == ".xml":
        return shapes.draw_shapes(cvat.read(source), images, options)
    content = load_json(source) if source.suffix.lower() == ".json" else None
    if isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys():
        return shapes.draw_shapes(coco.read(source, content), images, options)
    if isinstance(content, list) and content and all("annotations" in task and "data" in task for task in content):
        return shapes.draw_shapes(label_studio.read(source, content), images, options)
    if is_labelme(content):
        return shapes.draw_shapes(labelme.read([source], source.parent), images, options)
    raise PrepareError(
        f"{source} is of no format that is known: COCO JSON, labelme JSON, Label Studio JSON (not JSON-MIN), CVAT for "
        "images 1.1 (XML). Unpack an archive first."
    )


def _holds_images(source: Path, images: Images) -> bool:
    """Whether a folder of labels is that of the images, or a part of it that counts as such."""
    return source.is_relative_to(images.folder) and any(path.is_relative_to(source) for path in images.files)
