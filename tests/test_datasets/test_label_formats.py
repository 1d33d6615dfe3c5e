"""Labels of every format become the same masks: ``tools/prepare/label_formats``."""

import base64
import io
import json

import cv2
import numpy as np
import pytest
from PIL import Image

TOOL = "own_data"
HEIGHT, WIDTH = 60, 80
POND, PATH = (10, 10, 30, 20), (60, 0, 10, 60)  # left, top, width, height
GAPS = {"0": "grass", "50": "pond", "100": "path"}
COLOURS = {"#202020": "grass", "#3c6ee6": "pond", "#c8b48c": "path"}
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
    ]
    task = dict(
        data=dict(image="/data/upload/1/0a1b2c3d-a.jpg"),
        annotations=[dict(result=[], was_cancelled=False), dict(result=result), dict(result=[], was_cancelled=True)],
    )
    other = dict(data=dict(image="/data/local-files/?d=photos/b.jpg"), annotations=[])
    path = folder / "project.json"
    path.write_text(json.dumps([task, other]))
    return path


NUMBERED = ("class 0", "class 1", "class 2")
NAMED = ("grass", "pond", "path")
# format: how it is written, what is asked for, the classes, the share of pixels that may differ (edges of polygons)
FORMATS = {
    "numbers, grey": (written(scene()), {}, NUMBERED, 0),
    "numbers, palette": (written(scene(), palette=RGB), {}, NUMBERED, 0),
    "numbers, named": (written(scene()), dict(classes=NAMED), NAMED, 0),
    "numbers, 16 bit": (written(scene().astype(np.uint16)), {}, NUMBERED, 0),
    "numbers, RGBA with equal channels": (written(rgba(np.dstack([scene()] * 3))), {}, NUMBERED, 0),
    "numbers, 16 bit RGB": (written(np.dstack([scene().astype(np.uint16)] * 3)), {}, NUMBERED, 0),
    "numbers with alpha": (written(np.dstack([scene(), np.full_like(scene(), 255)])), {}, NUMBERED, 0),
    "numbers with gaps": (written(scene() * 50), dict(colours=GAPS), NAMED, 0),
    "colours": (written(RGB[scene()]), dict(colours=COLOURS), NAMED, 0),
    "colours, RGBA": (written(rgba(RGB[scene()])), dict(colours=COLOURS), NAMED, 0),
    "names longer than the images'": (written(scene(), "a_mask.png"), dict(mask_ending="_mask"), NUMBERED, 0),
    "labelme": (labelme, dict(rest="grass", classes=NAMED), NAMED, 0.02),
    "COCO": (coco, dict(rest="grass"), NAMED, 0.02),
    "CVAT": (cvat, dict(rest="grass"), NAMED, 0.02),
    "Label Studio": (label_studio, dict(rest="grass", classes=NAMED), NAMED, 0.02),
}


@pytest.fixture
def photos(tmp_path):
    """Images of the formats' names, one of them with a suffix in capitals."""
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.JPG"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "photos" / name, format="JPEG")
    return tmp_path / "photos"


def read(tool, source, photos, colours=None, **options):
    from label_formats.common import LabelOptions

    if isinstance(colours, dict):
        path = photos.parent / "names.json"
        path.write_text(json.dumps(colours))
        colours = path
    ending = options.get("mask_ending", "")
    options = LabelOptions(colours=colours, template=photos.parent / "colours.json", **options)
    return tool.read_labels(source, tool.Images(photos, (source,), ending), options)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_gives_masks_and_classes(tool, photos, name):
    write, options, classes, tolerance = FORMATS[name]
    if name == "COCO":
        pytest.importorskip("pycocotools")
    labels = read(tool, write(photos.parent), photos, **options)
    assert list(labels.draw) == [photos / "a.jpg"]  # the other image has no shape, or no mask
    assert labels.classes == classes and len(labels.palette) == 3
    drawn = labels.draw[photos / "a.jpg"]()
    assert drawn.dtype == np.uint8 and (drawn != scene()).mean() <= tolerance
    if "palette" in name or "colours" in name:
        assert labels.palette == tuple(map(tuple, RGB.tolist()))


@pytest.mark.parametrize("high", [255, 65535])
def test_zero_and_full_white_are_two_classes(tool, photos, high):
    mask = (scene() > 0) * np.array(high, np.uint8 if high == 255 else np.uint16)
    labels = read(tool, save(photos.parent / "m/a.png", mask), photos)
    assert labels.classes == ("background", "object")
    assert (labels.draw[photos / "a.jpg"]() == (scene() > 0)).all()


def test_a_class_that_does_not_count_becomes_255(tool, photos):
    expected = np.array([255, 0, 1], np.uint8)[scene()]
    source = save(photos.parent / "m/a.png", RGB[scene()])
    by_file = read(tool, source, photos, COLOURS | {"#202020": "ignore"})
    by_name = read(tool, source, photos, COLOURS, ignored=("grass",))
    outside = read(tool, cvat(photos.parent), photos, rest="ignore")
    for labels, tolerance in ((by_file, 0), (by_name, 0), (outside, 0.02)):
        assert labels.classes == ("pond", "path")
        assert (labels.draw[photos / "a.jpg"]() != expected).mean() <= tolerance


def test_colours_without_names_are_listed_and_asked_for(tool, photos, capsys):
    source = save(photos.parent / "m/a.png", RGB[scene()])
    with pytest.raises(tool.NamesMissing, match=r"colours\.json"):
        read(tool, source, photos)
    template = photos.parent / "colours.json"
    assert json.loads(template.read_text()).keys() == COLOURS.keys()
    assert "#202020 (32, 32, 32): 75.00 % of the pixels, in 1 masks" in capsys.readouterr().out
    assert read(tool, source, photos, template).classes == NUMBERED  # as it is, by falling share
    template.write_text("mine")
    with pytest.raises(tool.NamesMissing):
        read(tool, source, photos)
    assert template.read_text() == "mine"


def smooth(folder):
    ramp = np.arange(HEIGHT * WIDTH, dtype=np.uint32).reshape(HEIGHT, WIDTH)
    return save(folder / "m/a.png", np.dstack([ramp % 80, ramp // 80, ramp % 7]).astype(np.uint8))


def transparent(folder):
    pixels = rgba(RGB[scene()])
    pixels[0, 0, 3] = 0
    return save(folder / "m/a.png", pixels)


def other_palette(folder):
    save(folder / "m/a.png", scene(), RGB)
    return save(folder / "m/b.png", scene(), RGB[::-1])


def jpeg(folder):
    save(folder / "m/a.jpg", scene())
    (folder / "m/a.jpg").rename(folder / "m/a.png")
    return folder / "m"


def video(folder):
    path = cvat(folder)
    path.write_text(path.read_text().replace("</annotations>", "<track/></annotations>"))
    return path


def other_size(folder):
    path = label_studio(folder)
    path.write_text(path.read_text().replace(str(WIDTH), str(WIDTH + 1)))
    return path


REFUSED = {
    "more than 256 colours": (smooth, {}),
    "partly transparent": (transparent, {}),
    "the numbers mean nothing": (other_palette, {}),
    "a JPEG file": (jpeg, {}),
    "hold #c8b48c (12.500 %": (written(RGB[scene()]), dict(colours={"#202020": "grass", "#3c6ee6": "pond"})),
    "no image of the same name": (written(scene(), "c.png"), {}),
    "names 0 ... 1": (written(scene()), dict(classes=("grass", "pond"))),
    "--classes does not name": (cvat, dict(classes=("pond",))),
    "there is no such class": (cvat, dict(ignored=("lake",))),
    'is not "CVAT for images 1.1"': (video, {}),
    "neither masks": (lambda f: f / "photos", {}),
    "do not exist": (lambda f: f / "nothing", {}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_read_is_named(tool, photos, message):
    write, options = REFUSED[message]
    with pytest.raises(tool.PrepareError) as error:
        read(tool, write(photos.parent), photos, **options)
    assert message in str(error.value)


def test_brush_strokes_of_another_size_are_refused(tool, photos):
    labels = read(tool, other_size(photos.parent), photos, rest="grass")
    with pytest.raises(tool.PrepareError, match="brush stroke has 19200 values"):
        labels.draw[photos / "a.jpg"]()


def test_coco_without_pycocotools(tool, photos, monkeypatch):
    from label_formats import coco as reader

    monkeypatch.setattr(reader, "mask_utils", None)
    with pytest.raises(tool.PrepareError, match="pip install pycocotools"):
        read(tool, coco(photos.parent), photos)


def test_boxes_and_ellipses_turn(tool):
    from label_formats.shapes import box, ellipse

    upright = box(30, 20, 10, 30)(HEIGHT, WIDTH)
    turned = box(20, 30, 30, 10, 90)(HEIGHT, WIDTH)
    assert np.abs(upright.astype(int) - turned).sum() <= 50  # edges
    round_trip = ellipse(40, 30, 15, 8, 180)(HEIGHT, WIDTH)
    assert (round_trip == ellipse(40, 30, 15, 8)(HEIGHT, WIDTH)).mean() > 0.99
    corner = box(30, 20, 10, 5, 90, (30, 20))(HEIGHT, WIDTH)  # clockwise about a corner: to the left and down
    assert corner[25, 27] and not corner[22, 35]
