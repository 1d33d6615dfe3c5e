"""Tiny exports of label tools, all of one scene."""

import base64
import io
import json

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 60, 80
POND, PATH = (10, 10, 30, 20), (60, 0, 10, 60)  # left, top, width, height
RGB = np.array([(32, 32, 32), (60, 110, 230), (200, 180, 140)], np.uint8)


def scene():
    """Grass with a pond and a path."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, (left, top, width, height) in ((1, POND), (2, PATH)):
        mask[top : top + height, left : left + width] = number
    return mask


def corners(box):
    left, top, width, height = box
    return [[left, top], [left + width, top], [left + width, top + height], [left, top + height]]


def save(path, pixels, palette=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.dtype == np.uint16 and pixels.ndim == 3:  # which Pillow cannot write
        assert cv2.imwrite(str(path), pixels)
        return path.parent
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette.ravel().tolist())
    image.save(path)
    return path.parent


def written(pixels, name="a.png", palette=None):
    """A function that writes a folder with one mask."""
    return lambda folder: save(folder / "m" / name, pixels, palette)


def rgba(pixels):
    return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])


def labelme(folder):
    pixels = io.BytesIO()
    Image.fromarray(np.ones((PATH[3], PATH[2]), bool)).save(pixels, format="PNG")
    shapes = [
        dict(label="pond", shape_type="polygon", points=corners(POND)),
        dict(
            label="path",
            shape_type="mask",
            points=[PATH[:2], [PATH[0] + PATH[2] - 1, PATH[3] - 1]],
            mask=base64.b64encode(pixels.getvalue()).decode(),
        ),
        dict(label="pond", shape_type="line", points=[[0, 0], [9, 9]]),
    ]
    (folder / "labels").mkdir()
    text = json.dumps(dict(shapes=shapes, imagePath="a.jpg", imageData=None, imageHeight=HEIGHT, imageWidth=WIDTH))
    (folder / "labels/a.json").write_text(text)
    return folder / "labels"


def coco(folder):
    runs = np.flatnonzero(np.diff((scene() == 2).T.ravel().astype(int), prepend=0, append=0))  # columns, from the top
    counts = np.diff([0, *runs, HEIGHT * WIDTH]).tolist()
    annotations = [
        dict(id=1, image_id=7, category_id=3, area=600, iscrowd=0, segmentation=[np.ravel(corners(POND)).tolist()]),
        dict(
            id=2, image_id=7, category_id=5, area=600, iscrowd=1, segmentation=dict(size=[HEIGHT, WIDTH], counts=counts)
        ),
    ]
    images = [dict(id=7, file_name="a.jpg", width=WIDTH, height=HEIGHT)]
    images.append(dict(images[0], id=8, file_name="b.jpg"))
    categories = [dict(id=3, name="pond"), dict(id=5, name="path")]
    path = folder / "coco.json"
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return path


def cvat(folder):
    points = ";".join(f"{x},{y}" for x, y in corners(POND))
    left, top, width, height = PATH
    path = folder / "annotations.xml"
    path.write_text(
        f"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><labels>
<label><name>pond</name><color>#3c6ee6</color></label><label><name>path</name><color>#c8b48c</color></label>
</labels></task></meta>
<image id="0" name="a.jpg" width="{WIDTH}" height="{HEIGHT}">
<mask label="path" left="{left}" top="{top}" width="{width}" height="{height}" rle="0, {width * height}" z_order="1"/>
<polygon label="pond" points="{points}" z_order="0"/>
<points label="pond" points="1,1" z_order="0"/>
</image>
<image id="1" name="b.jpg" width="{WIDTH}" height="{HEIGHT}"></image>
</annotations>"""
    )
    return path


def pack(values):
    """Runs of brush strokes as Label Studio packs them: repeated values, and the last ones as they are."""
    sizes, text = (3, 8, 16, 16), f"{len(values):032b}{7:05b}"
    text += "".join(f"{size - 1:04b}" for size in sizes)
    starts = [0, *(np.flatnonzero(np.diff(values)) + 1), len(values) - 4]
    for start, end in zip(starts, starts[1:], strict=False):
        while start < end:
            length = min(end - start, 2**16)
            text += f"1{2:02b}{length - 1:016b}{values[start]:08b}"
            start += length
    text += f"0{0:02b}{3:03b}" + "".join(f"{value:08b}" for value in values[-4:])
    text += "0" * (-len(text) % 8)
    return [int(text[place : place + 8], 2) for place in range(0, len(text), 8)]


def label_studio(folder):
    size = dict(original_width=WIDTH, original_height=HEIGHT)
    points = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in corners(POND)]
    brush = np.repeat((scene() == 2).ravel().astype(np.uint8) * 255, 4)
    result = [
        dict(size, type="polygonlabels", value=dict(points=points, polygonlabels=["pond"])),
        dict(size, type="brushlabels", value=dict(format="rle", rle=pack(brush), brushlabels=["path"])),
        dict(size, type="keypointlabels", value=dict(x=1, y=1, keypointlabels=["pond"])),
        dict(type="relation", from_id="1", to_id="2", direction="right"),
    ]
    task = dict(
        data=dict(image="/data/upload/1/0a1b2c3d-a.jpg"),
        annotations=[dict(result=[], was_cancelled=False), dict(result=result), dict(result=[], was_cancelled=True)],
    )
    other = dict(data=dict(image="/data/local-files/?d=photos/b.jpg"), annotations=[])
    path = folder / "project.json"
    path.write_text(json.dumps([task, other]))
    return path
