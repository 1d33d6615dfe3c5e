import colorsys

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from mmseg_allspark.datasets.transforms import RandomColorJitter, RandomGaussianBlur, RandomGray
from mmseg_allspark.datasets.transforms.color import adjust_hue

from .conftest import picture


def _bgr(image: Image.Image) -> np.ndarray:
    return np.asarray(image)[..., ::-1]


@pytest.mark.parametrize(
    ("name", "enhancer"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
def test_one_change_equals_pillow_on_rgb(name, enhancer):
    strengths = dict(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)
    transform = RandomColorJitter(**{**strengths, name: 0.5}, prob=1.0)
    rgb = picture()
    state = np.random.get_state()
    out = transform(dict(img=np.ascontiguousarray(rgb[..., ::-1])))["img"]
    np.random.set_state(state)
    np.random.rand()
    ((drawn, factor),) = transform._draw_steps()
    assert drawn == name
    assert np.array_equal(out, _bgr(enhancer(Image.fromarray(rgb)).enhance(factor)))


def test_factors_and_order():
    transform = RandomColorJitter(brightness=1.5, contrast=0.5, saturation=0.5, hue=0.25)
    draws = [transform._draw_steps() for _ in range(400)]
    values = {name: np.array([dict(steps)[name] for steps in draws]) for name in transform.strengths}
    for name, low, high in (("brightness", 0.0, 2.5), ("contrast", 0.5, 1.5), ("hue", -0.25, 0.25)):
        span = high - low
        assert low <= values[name].min() < low + 0.1 * span and high - 0.1 * span < values[name].max() <= high
    assert len({tuple(name for name, _ in steps) for steps in draws}) == 24  # every order of four


def test_hue_turns_the_wheel():
    red = Image.new("RGB", (2, 2), (255, 0, 0))
    for shift in (0.25, -0.25, 1 / 3):
        expected = np.array(colorsys.hsv_to_rgb(shift % 1, 1, 1)) * 255
        # one step of the byte that holds the hue is 6 steps of a colour channel
        assert np.abs(np.asarray(adjust_hue(red, shift))[0, 0] - expected).max() <= 2 * 6
    assert np.array_equal(np.asarray(adjust_hue(red, 0.0)), np.asarray(red))


def test_negative_hue_wraps_as_uint8():
    image = Image.fromarray(picture())
    hue = np.asarray(image.convert("HSV"))[..., 0]
    shifted = np.asarray(adjust_hue(image, -0.1).convert("HSV"))[..., 0]
    wanted = hue + np.array(int(-0.1 * 255)).astype(np.uint8)  # torchvision's arithmetic
    distance = np.abs(shifted.astype(int) - wanted.astype(int))
    assert np.median(np.minimum(distance, 256 - distance)) <= 1  # through RGB and back


def test_gray_is_luminance():
    rgb = picture()
    out = RandomGray(prob=1.0)(dict(img=np.ascontiguousarray(rgb[..., ::-1])))["img"]
    expected = np.asarray(Image.fromarray(rgb).convert("L"))
    assert all(np.array_equal(out[..., channel], expected) for channel in range(3))


def test_blur_equals_pillow():
    rgb = picture(32, 40)
    out = RandomGaussianBlur(sigma=(1.3, 1.3), prob=1.0)(dict(img=np.ascontiguousarray(rgb[..., ::-1])))["img"]
    assert np.array_equal(out, _bgr(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(radius=1.3))))


@pytest.mark.parametrize("kind", [RandomColorJitter, RandomGray, RandomGaussianBlur])
def test_probability_and_input_left_alone(kind):
    image = picture(24, 24)
    before = image.copy()
    transform = kind(prob=0.3)
    changed = np.mean([not np.array_equal(transform(dict(img=image))["img"], before) for _ in range(300)])
    assert 0.2 < changed < 0.4
    assert np.array_equal(image, before)
    assert np.array_equal(kind(prob=0.0)(dict(img=image))["img"], before)


def test_same_seed_same_result():
    transform, image = RandomColorJitter(), picture()
    results = []
    for _ in range(2):
        np.random.seed(3)
        results.append([transform(dict(img=image))["img"] for _ in range(3)])
    assert np.array_equal(results[0], results[1])


def test_float_image_is_refused():
    with pytest.raises(TypeError, match="uint8.*a.jpg"):
        RandomGray()(dict(img=picture().astype(np.float32), img_path="a.jpg"))


def test_bad_arguments():
    with pytest.raises(ValueError, match="prob"):
        RandomGray(prob=1.2)
    with pytest.raises(ValueError, match="hue"):
        RandomColorJitter(hue=0.6)
    with pytest.raises(ValueError, match="sigma"):
        RandomGaussianBlur(sigma=(2.0, 0.1))
