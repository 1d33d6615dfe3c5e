"""Labels of every format become the same masks: ``tools/prepare/label_formats``."""

import json
from argparse import Namespace

import numpy as np
import pytest
from PIL import Image

from .label_exports import HEIGHT, RGB, WIDTH, coco, cvat, label_studio, labelme, rgba, save, scene, written

TOOL = "own_data"
GAPS = {"0": "grass", "50": "pond", "100": "path"}
COLOURS = {"#202020": "grass", "#3c6ee6": "pond", "#c8b48c": "path"}
NUMBERED = ("class 0", "class 1", "class 2")
NAMED = ("grass", "pond", "path")
# format: how it is written, what is asked for, the classes, the share of pixels that may differ (edges of polygons)
FORMATS = {
    "numbers, grey": (written(scene()), {}, NUMBERED, 0),
    "numbers, palette": (written(scene(), palette=RGB), {}, NUMBERED, 0),
    "numbers, named": (written(scene()), dict(classes=NAMED), NAMED, 0),
    "numbers, 16 bit RGB": (written(np.dstack([scene().astype(np.uint16)] * 3)), {}, NUMBERED, 0),
    "numbers with alpha": (written(np.dstack([scene(), np.full_like(scene(), 255)])), {}, NUMBERED, 0),
    "numbers with gaps": (written(scene() * 50), dict(colours=GAPS), NAMED, 0),
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
    if isinstance(colours, dict):
        path = photos.parent / "names.json"
        path.write_text(json.dumps(colours))
        colours = path
    defaults = dict(classes=[], ignore=[], rest="background", mask_ending="", workers=1, out=photos.parent)
    options = Namespace(colours=colours, **defaults | options)
    return tool.read_labels(source, tool.Images(photos, (source,), options.mask_ending), options)


def test_an_image_of_another_folder_is_another_image(tool, tmp_path):
    for name in ("val/1.jpg", "2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    images = tool.Images(tmp_path, (), "")
    assert images.find("train/1.jpg") is None
    for reference, found in (("all/val/1.jpg", "val/1.jpg"), ("1.jpg", "val/1.jpg"), ("any/2.jpg", "2.jpg")):
        assert images.find(reference) == tmp_path / found


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


def test_zero_and_full_white_are_two_classes(tool, photos):
    labels = read(tool, save(photos.parent / "m/a.png", ((scene() > 0) * 65535).astype(np.uint16)), photos)
    assert labels.classes == ("background", "object")
    assert (labels.draw[photos / "a.jpg"]() == (scene() > 0)).all()


def test_a_class_that_does_not_count_becomes_255(tool, photos):
    expected = np.array([255, 0, 1], np.uint8)[scene()]
    source = save(photos.parent / "m/a.png", RGB[scene()])
    by_file = read(tool, source, photos, COLOURS | {"#202020": "ignore"})
    by_name = read(tool, source, photos, COLOURS, ignore=["grass"])
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
    assert "#202020 (32, 32, 32): 75.00 % of the pixels" in capsys.readouterr().out
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
    "hold #c8b48c (12.500 %": (written(RGB[scene()]), dict(colours={"#202020": "grass", "#3c6ee6": "pond"})),
    "c.png has no image of the same name": (written(scene(), "c.png"), {}),
    "a.depth.png has no image of the same name": (written(scene(), "a.depth.png"), {}),
    "--classes does not name": (cvat, dict(classes=("pond",))),
    'is not "CVAT for images 1.1"': (video, {}),
    "names 300, but": (written(scene()), dict(colours={"0": "grass", "1": "pond", "2": "path", "300": "sky"})),
    "neither masks": (lambda f: f / "photos", {}),
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


def test_labelme_beside_images_of_one_name_in_several_folders(tool, photos):
    text = (labelme(photos.parent) / "a.json").read_text()
    for folder in ("first", "second"):
        (photos / folder).mkdir()
        Image.new("RGB", (WIDTH, HEIGHT)).save(photos / folder / "1.jpg")
        (photos / folder / "1.json").write_text(text)
    found = read(tool, photos, photos, rest="grass").draw
    assert set(found) == {photos / "first/1.jpg", photos / "second/1.jpg"}
    assert set(read(tool, photos / "first", photos, rest="grass").draw) == {photos / "first/1.jpg"}


def test_masks_beside_the_shapes_that_they_were_drawn_from_are_no_images(tool, photos):
    source = labelme(photos.parent).rename(photos / "labels")
    (source / "a.json").write_text((source / "a.json").read_text().replace("a.jpg", "../a.jpg"))
    save(source / "a.png", scene().astype(np.uint8))
    assert set(read(tool, source, photos).draw) == {photos / "a.jpg"}
    (source / "a.json").write_text("{}")  # something else
    assert set(read(tool, source, photos).draw) == {photos / "a.jpg"}


def test_masks_may_be_in_a_folder_around_the_images(tool, photos):
    save(photos.parent / "m/a.png", scene().astype(np.uint8))
    assert set(read(tool, photos.parent, photos).draw) == {photos / "a.jpg"}


def test_boxes_and_ellipses_turn(tool):
    from label_formats.shapes import box, ellipse

    upright = box(30, 20, 10, 30)(HEIGHT, WIDTH)
    turned = box(20, 30, 30, 10, 90)(HEIGHT, WIDTH)
    assert np.abs(upright.astype(int) - turned).sum() <= 50  # edges
    round_trip = ellipse(40, 30, 15, 8, 180)(HEIGHT, WIDTH)
    assert (round_trip == ellipse(40, 30, 15, 8)(HEIGHT, WIDTH)).mean() > 0.99
    corner = box(30, 20, 10, 5, 90, (30, 20))(HEIGHT, WIDTH)  # clockwise about a corner: to the left and down
    assert corner[25, 27] and not corner[22, 35]
