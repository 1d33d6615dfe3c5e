import re
from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_allspark.datasets.transforms import DataFileError, LoadImage, LoadSegMask


def test_registered_in_mmseg() -> None:
    for name in ("LoadImage", "LoadSegMask", "MultiView", "PackSemiInputs", "RandomResizeLongSide"):
        assert TRANSFORMS.get(name).__name__ == name


def test_image_is_bgr_with_shapes(tmp_path, save_image):
    path = save_image(tmp_path / "a.png", 12, 16)
    results = LoadImage()(dict(img_path=str(path)))
    assert np.array_equal(results["img"][..., ::-1], np.array(Image.open(path)))
    assert results["img_shape"] == results["ori_shape"] == (12, 16)


def test_deprecated_argument_is_not_silently_ignored():
    with pytest.warns(DeprecationWarning), pytest.raises(ValueError, match="backend_args"):
        LoadImage(file_client_args=dict(backend="disk"))


def _broken(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / f"{kind}.png"
    if kind == "empty":
        path.touch()
    elif kind == "garbage":
        path.write_bytes(b"this is not an image")
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "does not exist"),
        ("empty", "0 bytes"),
        ("garbage", "decoded"),
        ("folder", "cannot be read"),
    ],
)
def test_bad_image_names_file_and_remedy(tmp_path, kind, words):
    path = _broken(tmp_path, kind)
    with pytest.raises(DataFileError, match=words) as error:
        LoadImage()(dict(img_path=str(path)))
    assert str(path) in str(error.value)
    assert LoadImage(ignore_empty=True)(dict(img_path=str(path))) is None


@pytest.mark.parametrize(("kind", "words"), [("missing", "seg_map_path"), ("empty", "0 bytes"), ("garbage", "decoded")])
def test_bad_mask_names_file(tmp_path, kind, words):
    path = _broken(tmp_path, kind)
    with pytest.raises(DataFileError, match=words) as error:
        LoadSegMask()(dict(img_path="x.jpg", seg_map_path=str(path), seg_fields=[]))
    assert str(path) in str(error.value)


def _mask_sample(path: Path, **more: object) -> dict:
    return dict(img_path="x.jpg", seg_map_path=str(path), seg_fields=[], **more)


def test_mask_within_range_is_loaded(tmp_path, save_mask):
    path = save_mask(tmp_path / "m.png")
    results = LoadSegMask(num_classes=5)(_mask_sample(path, ori_shape=(12, 16)))
    assert np.array_equal(results["gt_seg_map"], np.array(Image.open(path)))
    assert results["gt_seg_map"].dtype == np.uint8
    assert results["seg_fields"] == ["gt_seg_map"]


def test_palette_mask_gives_indices(tmp_path):
    image = Image.fromarray(np.full((4, 4), 3, np.uint8), mode="L").convert("P")
    indices = np.array(image)
    image.save(tmp_path / "m.png")
    results = LoadSegMask()(_mask_sample(tmp_path / "m.png"))
    assert np.array_equal(results["gt_seg_map"], indices)


@pytest.mark.parametrize("from_sample", [True, False])
def test_label_out_of_range(tmp_path, save_mask, from_sample):
    path = save_mask(tmp_path / "m.png")
    sample = _mask_sample(path, **(dict(num_classes=4) if from_sample else {}))
    loader = LoadSegMask() if from_sample else LoadSegMask(num_classes=4)
    key = "metainfo.classes" if from_sample else "num_classes"
    with pytest.raises(DataFileError, match=re.escape(str(path))) as error:
        loader(sample)
    assert re.search(r"labels 4 \(\d+ pixels\), outside 0\.\.3", str(error.value))
    assert key in str(error.value) and "255" in str(error.value).split("outside")[1]


def test_other_ignore_index(tmp_path, save_mask):
    path = save_mask(tmp_path / "m.png")
    with pytest.raises(DataFileError, match="labels 255"):
        LoadSegMask(num_classes=5, ignore_index=4)(_mask_sample(path))


def test_argument_beats_sample(tmp_path, save_mask):
    path = save_mask(tmp_path / "m.png")
    assert "gt_seg_map" in LoadSegMask(num_classes=5)(_mask_sample(path, num_classes=2))


def test_size_differs_from_image(tmp_path, save_mask):
    path = save_mask(tmp_path / "m.png")
    with pytest.raises(DataFileError, match="16x12.*x.jpg is 12x16"):
        LoadSegMask()(_mask_sample(path, ori_shape=(16, 12)))


def test_size_is_compared_with_the_original_not_the_resized_image(tmp_path, save_mask):
    path = save_mask(tmp_path / "m.png")
    assert "gt_seg_map" in LoadSegMask()(_mask_sample(path, ori_shape=(12, 16), img_shape=(24, 32)))


def test_labels_that_would_wrap_around_uint8(tmp_path):
    labels = np.zeros((4, 4), np.uint16)
    labels[1, 1] = 257  # uint8 would make this the valid label 1
    Image.fromarray(labels).save(tmp_path / "m.png")
    with pytest.raises(DataFileError, match="257"):
        LoadSegMask(num_classes=5)(_mask_sample(tmp_path / "m.png"))


def test_coloured_mask(tmp_path, save_image):
    path = save_image(tmp_path / "m.png")
    with pytest.raises(DataFileError, match="one channel"):
        LoadSegMask()(_mask_sample(path))


def test_optional_mask_that_is_missing_is_left_out(tmp_path):
    results = LoadSegMask(optional=True)(_mask_sample(tmp_path / "none.png"))
    assert "gt_seg_map" not in results and "seg_map_path" not in results and results["seg_fields"] == []
    assert LoadSegMask(optional=True)(dict(img_path="x.jpg")) == dict(img_path="x.jpg")


def test_optional_mask_that_exists_is_checked(tmp_path, save_mask):
    path = save_mask(tmp_path / "m.png")
    with pytest.raises(DataFileError, match="outside"):
        LoadSegMask(optional=True, num_classes=2)(_mask_sample(path))


def test_no_mask_path(tmp_path):
    with pytest.raises(DataFileError, match="optional=True"):
        LoadSegMask()(dict(img_path="x.jpg", seg_fields=[]))


@pytest.mark.parametrize("label_map", [None, {0: 1, 1: 0, 2: 255, 3: 2}])
@pytest.mark.parametrize("reduce_zero", [False, True])
def test_same_labels_as_the_parent(tmp_path, save_mask, label_map, reduce_zero):
    path = save_mask(tmp_path / "m.png")
    sample = _mask_sample(path, label_map=label_map, reduce_zero_label=reduce_zero)
    expected = TRANSFORMS.build(dict(type="LoadAnnotations"))(dict(sample, seg_fields=[]))["gt_seg_map"]
    assert np.array_equal(LoadSegMask()(sample)["gt_seg_map"], expected)


def test_reduce_zero_label_contradiction(tmp_path, save_mask):
    path = save_mask(tmp_path / "m.png")
    with pytest.warns(UserWarning, match="deprecated"):
        loader = LoadSegMask(reduce_zero_label=True)
    with pytest.raises(ValueError, match="reduce_zero_label"):
        loader(_mask_sample(path, reduce_zero_label=False))


def test_a_bare_image_passes_so_that_test_pipelines_serve_inference():
    """mmseg's inference_model and MMSegInferencer keep transforms that are not named LoadAnnotations."""
    assert "gt_seg_map" not in LoadSegMask()(dict(img_path="a.png", ori_shape=(4, 4)))
