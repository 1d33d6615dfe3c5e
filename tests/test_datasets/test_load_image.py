"""Images of every kind, whole and broken, and what is skipped. tests/test_fuzz_inputs.py tries many more files."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from fuzz_files import encode, png_bytes
from mmengine.dataset import BaseDataset
from PIL import Image, ImageOps

from mmseg_allspark.datasets import UnlabeledDataset
from mmseg_allspark.datasets.transforms import DataFileError, LoadImage, LoadSegMask
from mmseg_allspark.datasets.transforms.decoding import read_header, turn

from .conftest import picture


def load(path: Path, content: bytes, **options: object) -> dict:
    path.write_bytes(content)
    return LoadImage(**options)(dict(img_path=str(path)))


def test_image_is_bgr_with_shapes(tmp_path, save_image):
    path = save_image(tmp_path / "a.png", 12, 16)
    results = LoadImage()(dict(img_path=str(path)))
    assert np.array_equal(results["img"][..., ::-1], np.array(Image.open(path)))
    assert results["img_shape"] == results["ori_shape"] == (12, 16)


BROKEN = {
    "does not exist": lambda path: None,
    r"0 bytes.*empty": lambda path: path.touch(),
    "cannot be decoded": lambda path: path.write_bytes(b"this is not an image"),
    "cannot be read.*pipe": os.mkfifo,
    "too large": lambda path: path.write_bytes(png_bytes(20_000, 20_000, 8, bytes(10000))),
    "end marker": lambda path: path.write_bytes(encode(picture(), "PNG", "RGB", {})[:-8]),
}


@pytest.mark.parametrize("words", BROKEN)
def test_a_bad_file_is_named_with_a_reason(tmp_path, words):
    path = tmp_path / "a.png"
    BROKEN[words](path)
    for loader, key in ((LoadImage(), "img_path"), (LoadSegMask(), "seg_map_path")):
        with pytest.raises(DataFileError, match=words) as error:
            loader(dict(img_path="x.jpg", seg_fields=[]) | {key: str(path)})
        assert str(path) in str(error.value)
    assert LoadImage(ignore_empty=True)(dict(img_path=str(path))) is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_is_what_pillow_does(orientation):
    stored = picture(3, 5)
    with Image.open(io.BytesIO(encode(stored, "PNG", "RGB", {}, orientation))) as image:
        assert np.array_equal(turn(stored, orientation), np.array(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_orientation_is_ignored_when_told_so(tmp_path, form, orientation):
    image = np.kron(picture(2, 3), np.ones((8, 8, 1), np.uint8))
    content = encode(image, form, "RGB", {}, orientation)
    stored = load(tmp_path / "a", content, color_type="color_ignore_orientation")
    shown = load(tmp_path / "a", content)
    assert stored["img"].shape == image.shape and not stored["img_turned"] and shown["img_turned"]
    assert np.array_equal(turn(stored["img"], orientation), shown["img"])


def test_values_of_16_bit_and_alpha_in_tiff(tmp_path):
    deep = np.arange(0, 65536, 4096, dtype=np.uint16).reshape(4, 4)
    found = load(tmp_path / "a.png", encode(deep, "PNG", "I;16", {}), imdecode_backend="pillow")["img"]
    assert np.abs(found[..., 0] - deep / 257.0).max() <= 1
    colours = picture(4, 4)
    found = load(tmp_path / "a.tif", encode(colours, "TIFF", "RGBA", {}))["img"]
    assert np.array_equal(found[..., ::-1], colours)
    with pytest.raises(DataFileError, match=r"a\.tif .*mode F.*8 bit"):
        load(tmp_path / "a.tif", encode(np.ones((4, 4), np.float32), "TIFF", "F", {}))


def test_a_cut_jpeg_is_told_from_a_motion_photo_and_from_its_thumbnail():
    photo = encode(np.kron(picture(9, 9), np.ones((20, 20, 1), np.uint8)), "JPEG", "RGB", {})
    small = encode(picture(8, 8), "JPEG", "RGB", {})
    with_thumbnail = photo[:2] + b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small + photo[2:]
    for whole in (photo, photo + b"\0\0", photo + b"film \xff\xda film", with_thumbnail):
        assert read_header(whole, "a.jpg", "image").format == "JPEG"
    for cut in (photo[:-2], photo[:-2] + b"\xff\x00" * 9, photo[: len(photo) // 2], with_thumbnail[:-2]):
        with pytest.raises(DataFileError, match="end marker") as error:
            read_header(cut, "a.jpg", "image")
        assert error.value.kind == "truncated"


PIPELINE = [dict(type="LoadImage"), dict(type="PackSemiInputs")]


@pytest.fixture
def spoilt(tmp_path, save_image):
    """Makes a folder of images w00.png ... and of broken ones b00.png ..., which come first."""

    def make(broken: int, whole: int) -> Path:
        for index in range(whole):
            save_image(tmp_path / f"images/w{index:02d}.png", seed=index)
        for index in range(broken):
            (tmp_path / f"images/b{index:02d}.png").write_bytes(b"no image")
        return tmp_path / "images"

    return make


def used(dataset: BaseDataset) -> list[str]:
    return [Path(dataset[i]["data_samples"].img_path).name for i in range(len(dataset))]


def test_mostly_unreadable_images_stop_the_run(spoilt):
    folder = spoilt(broken=30, whole=9)
    skip = [dict(PIPELINE[0], unreadable="skip"), *PIPELINE[1:]]
    with pytest.raises(DataFileError, match=r"\d\d of the \d\d unlabeled images .*check_data\.py"):
        used(UnlabeledDataset(folder, pipeline=skip))
    with pytest.raises(DataFileError, match=r"b00\.png"):
        UnlabeledDataset(folder, pipeline=PIPELINE)[0]


def test_an_error_of_the_pipeline_names_the_image(spoilt):
    dataset = UnlabeledDataset(spoilt(0, 1), pipeline=[dict(type="LoadImage"), dict(type="Resize", scale=(0, 0))])
    with pytest.raises(DataFileError, match=r"w00\.png"):
        dataset[0]
