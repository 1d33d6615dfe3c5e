import numpy as np
import pytest
import torch
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_allspark.datasets.transforms import RandomResizeLongSide

from .conftest import picture


def _labels(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 5, (height, width), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (7, 90)])
def test_resize_equals_pillow(height, width):
    image, labels = picture(height, width), _labels(height, width)
    for _ in range(5):
        out = RandomResizeLongSide()(dict(img=image, gt_seg_map=labels, seg_fields=["gt_seg_map"]))
        size = out["img"].shape[1::-1]
        assert np.array_equal(out["img"], np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)))
        assert np.array_equal(
            out["gt_seg_map"], np.array(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
        )
        new_long, long, short = max(size), max(height, width), min(height, width)
        assert min(size) == int(short * new_long / long + 0.5)
        assert out["img_shape"] == size[::-1]
        assert out["scale_factor"] == pytest.approx((size[0] / width, size[1] / height))


def test_long_side_covers_the_closed_range_uniformly():
    transform = RandomResizeLongSide((0.5, 2.0))
    draws = [transform._draw_long_side(9) for _ in range(3000)]
    values, counts = np.unique(draws, return_counts=True)
    assert values.tolist() == list(range(4, 19))  # int(4.5) .. int(18)
    assert counts.min() > 0.6 * counts.mean()


def _crop_then_pad(size: int) -> list:
    return [
        TRANSFORMS.build(dict(type="RandomCrop", crop_size=size, cat_max_ratio=1.0)),
        TRANSFORMS.build(dict(type="Pad", size=(size, size), pad_val=dict(img=0, seg=255))),
    ]


def _release_crop(image, labels, size, x, y):
    """The order of the release: pad right and bottom, then crop at (x, y)."""
    pad_h, pad_w = max(size - image.shape[0], 0), max(size - image.shape[1], 0)
    image = np.pad(image, ((0, pad_h), (0, pad_w), (0, 0)), constant_values=0)
    labels = np.pad(labels, ((0, pad_h), (0, pad_w)), constant_values=255)
    return image[y : y + size, x : x + size], labels[y : y + size, x : x + size]


@pytest.mark.parametrize(("height", "width"), [(40, 50), (20, 50), (20, 24)])
def test_crop_then_pad_is_pad_then_crop(height, width):
    size = 32
    image, labels = picture(height, width), _labels(height, width)
    results = dict(img=image, gt_seg_map=labels, seg_fields=["gt_seg_map"])
    state = np.random.get_state()
    for step in _crop_then_pad(size):
        results = step(results)
    np.random.set_state(state)
    y = np.random.randint(0, max(height - size, 0) + 1)
    x = np.random.randint(0, max(width - size, 0) + 1)
    expected_image, expected_labels = _release_crop(image, labels, size, x, y)
    assert np.array_equal(results["img"], expected_image)
    assert np.array_equal(results["gt_seg_map"], expected_labels)
    assert results["img_shape"] == (size, size)


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("mask", [False, True])
def test_padding_is_marked_with_and_without_a_mask(flip, mask):
    results = dict(img=picture(20, 30), seg_fields=[], img_path="a.png")
    if mask:
        results.update(gt_seg_map=_labels(20, 30), seg_fields=["gt_seg_map"])
    steps = [
        dict(type="PadAndMark", size=(36, 24), pad_val=dict(img=0, seg=255)),
        dict(type="RandomFlip", prob=flip),
        dict(type="PackSemiInputs"),
    ]
    for step in steps:
        results = TRANSFORMS.build(step)(results)
    valid = results["data_samples"].valid.data
    expected = torch.zeros(1, 24, 36, dtype=torch.bool)
    expected[:, :20, :30] = True
    assert torch.equal(valid, expected.flip(2) if flip else expected)
    assert ("gt_sem_seg" in results["data_samples"]) == mask
