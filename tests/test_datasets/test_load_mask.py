"""Masks: the numbers that are in the file, or an error that names it."""

import re
from pathlib import Path

import numpy as np
import pytest
from fuzz_files import encode
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_allspark.datasets.transforms import DataFileError, LoadImage, LoadSegMask
from mmseg_allspark.datasets.transforms.decoding import turn


def sample(path: Path, **more: object) -> dict:
    return dict(img_path="x.jpg", seg_map_path=str(path), seg_fields=[]) | more


def load(path: Path, content: bytes, options: dict | None = None, **more: object) -> np.ndarray:
    path.write_bytes(content)
    return LoadSegMask(**(options or {}))(sample(path, **more))["gt_seg_map"]


def test_a_mask_within_range_is_loaded(tmp_path, save_mask):
    path = save_mask(tmp_path / "m.png")
    # mmseg's test pipelines load masks after the image was resized
    results = LoadSegMask(num_classes=5)(sample(path, ori_shape=(12, 16), img_shape=(24, 32), num_classes=2))
    assert np.array_equal(results["gt_seg_map"], np.array(Image.open(path)))
    assert results["gt_seg_map"].dtype == np.uint8 and results["seg_fields"] == ["gt_seg_map"]


@pytest.mark.parametrize(("mode", "top"), [("L2", 3), ("L4", 15), ("1", 1), ("P", 200), ("L", 200)])
def test_numbers_are_those_of_the_file(tmp_path, mode, top):
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 17 % (top + 1)
    for backend in ("pillow", "cv2"):
        found = load(tmp_path / "m.png", encode(labels, "PNG", mode, {}), dict(imdecode_backend=backend))
        assert np.array_equal(found, labels)


@pytest.mark.parametrize("label_map", [None, {0: 1, 1: 0, 2: 255, 3: 2}])
@pytest.mark.parametrize("reduce_zero", [False, True])
def test_same_labels_as_the_parent(tmp_path, save_mask, label_map, reduce_zero):
    info = sample(save_mask(tmp_path / "m.png"), label_map=label_map, reduce_zero_label=reduce_zero)
    expected = TRANSFORMS.build(dict(type="LoadAnnotations"))(dict(info, seg_fields=[]))["gt_seg_map"]
    assert np.array_equal(LoadSegMask()(info)["gt_seg_map"], expected)


def test_reduce_zero_label_contradiction(tmp_path, save_mask):
    path = save_mask(tmp_path / "m.png")
    with pytest.warns(UserWarning, match="deprecated"):
        loader = LoadSegMask(reduce_zero_label=True)
    with pytest.raises(ValueError, match="reduce_zero_label"):
        loader(sample(path, reduce_zero_label=False))


@pytest.mark.parametrize("from_sample", [True, False])
def test_a_label_out_of_range_is_named_with_the_key_that_decides(tmp_path, save_mask, from_sample):
    path = save_mask(tmp_path / "m.png")
    loader = LoadSegMask() if from_sample else LoadSegMask(num_classes=4)
    with pytest.raises(DataFileError, match=re.escape(str(path))) as error:
        loader(sample(path, num_classes=4 if from_sample else None))
    assert re.search(r"labels 4 \(\d+ pixels\), outside 0\.\.3", str(error.value))
    assert ("metainfo.classes" if from_sample else "num_classes") in str(error.value)


LABELS = np.ones((8, 8), np.uint8)
REFUSED = {  # what the message says -> content, options of the loader
    "labels 255": (encode(LABELS * 255, "PNG", "L", {}), dict(num_classes=5, ignore_index=4)),
    r"labels \[257\]": (encode(LABELS + np.uint16(256), "PNG", "I;16", {}), dict(num_classes=5)),
    "JPEG file, a format that may change": (encode(LABELS, "JPEG", "L", {}), {}),
    "mode RGB: one channel": (encode(np.zeros((8, 8, 3), np.uint8), "PNG", "RGB", {}), {}),
    r"8x8 .*x\.jpg is 12x16": (encode(LABELS, "PNG", "L", {}), {}),
    r"turn it \(orientation 3\)": (encode(LABELS, "TIFF", "L", {}, 3), {}),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_no_mask_may_be(tmp_path, words):
    content, options = REFUSED[words]
    with pytest.raises(DataFileError, match=rf"m\.png .*{words}"):
        load(tmp_path / "m.png", content, options, ori_shape=(16, 12) if "12x16" in words else (8, 8))


@pytest.mark.parametrize("value", [0.5, np.nan, 256.0])
def test_float_masks_hold_whole_numbers(tmp_path, value):
    labels = np.ones((2, 2), np.float32)
    assert np.array_equal(load(tmp_path / "m.tif", encode(labels, "TIFF", "F", {})), labels)
    labels[0, 1] = value
    with pytest.raises(DataFileError, match=r"m\.tif .*whole numbers"):
        load(tmp_path / "m.tif", encode(labels, "TIFF", "F", {}))


def test_an_optional_mask_may_be_missing_and_is_checked_where_it_exists(tmp_path, save_mask):
    results = LoadSegMask(optional=True)(sample(tmp_path / "none.png"))
    assert "gt_seg_map" not in results and "seg_map_path" not in results and results["seg_fields"] == []
    with pytest.raises(DataFileError, match="outside"):
        LoadSegMask(optional=True, num_classes=2)(sample(save_mask(tmp_path / "m.png")))
    with pytest.raises(DataFileError, match="optional=True"):
        LoadSegMask()(dict(img_path="x.jpg", seg_fields=[]))


def test_a_bare_image_passes_so_that_test_pipelines_serve_inference():
    """mmseg's inference_model and MMSegInferencer keep transforms that are not named LoadAnnotations."""
    assert "gt_seg_map" not in LoadSegMask()(dict(img_path="a.png", ori_shape=(4, 4)))


def turned_image(path: Path, shape: tuple[int, int], orientation: int) -> dict:
    path.write_bytes(encode(np.zeros((*shape, 3), np.uint8), "JPEG", "RGB", {}, orientation))
    return LoadImage()(dict(img_path=str(path)))


def test_the_size_of_a_mask_tells_what_it_was_drawn_on(tmp_path):
    labels = (np.arange(15) % 4).astype(np.uint8).reshape(3, 5)
    image = turned_image(tmp_path / "a.jpg", (3, 5), 6)
    for written in (labels, turn(labels, 6)):
        assert np.array_equal(load(tmp_path / "m.png", encode(written, "PNG", "L", {}), **image), turn(labels, 6))


@pytest.mark.parametrize(("orientation", "shape"), [(3, (3, 5)), (6, (4, 4))])
def test_a_turned_image_with_a_mask_that_may_be_either_is_refused(tmp_path, orientation, shape):
    labels = np.eye(*shape, dtype=np.uint8)
    image, mask = turned_image(tmp_path / "a.jpg", shape, orientation), encode(labels, "PNG", "L", {})
    with pytest.raises(DataFileError, match=r"a\.jpg turn it .*drawn_on='stored'"):
        load(tmp_path / "m.png", mask, **image)
    assert np.array_equal(load(tmp_path / "m.png", mask, dict(drawn_on="shown"), **image), labels)
    stored = load(tmp_path / "m.png", mask, dict(drawn_on="stored"), **image)
    assert np.array_equal(stored, turn(labels, orientation))
