import colorsys

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from mmseg_allspark.datasets.transforms import RandomColorJitter, RandomGaussianBlur, RandomGray
from mmseg_allspark.datasets.transforms.color import adjust_hue

from .conftest import picture

ENHANCERS = dict(brightness=ImageEnhance.Brightness, contrast=ImageEnhance.Contrast, saturation=ImageEnhance.Color)


@pytest.mark.parametrize("name", ENHANCERS)
def test_one_change_equals_pillow_on_rgb(name):
    strengths = dict(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)
    transform, rgb = RandomColorJitter(**{**strengths, name: 0.5}, prob=1.0), picture()
    np.random.seed(3)
    out = transform(dict(img=np.ascontiguousarray(rgb[..., ::-1])))["img"]
    np.random.seed(3)
    np.random.rand(), np.random.permutation(1)  # whether anything changes, and the order
    factor = np.random.uniform(0.5, 1.5)
    assert np.array_equal(out[..., ::-1], ENHANCERS[name](Image.fromarray(rgb)).enhance(factor))


def test_gray_and_blur_equal_pillow():
    rgb = picture(32, 40)
    image, bgr = Image.fromarray(rgb), np.ascontiguousarray(rgb[..., ::-1])
    assert np.array_equal(RandomGray(prob=1.0)(dict(img=bgr))["img"], np.array(image.convert("L").convert("RGB")))
    out = RandomGaussianBlur(sigma=(1.3, 1.3), prob=1.0)(dict(img=bgr))["img"]
    assert np.array_equal(out[..., ::-1], image.filter(ImageFilter.GaussianBlur(radius=1.3)))


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
    for shift in (0.0, 0.25, -0.25, 1 / 3):
        expected = np.array(colorsys.hsv_to_rgb(shift % 1, 1, 1)) * 255
        # one step of the byte that holds the hue is 6 steps of a colour channel
        assert np.abs(np.asarray(adjust_hue(red, shift))[0, 0] - expected).max() <= (2 * 6 if shift else 0)
    image = Image.fromarray(picture())
    hue, shifted = (np.asarray(each.convert("HSV"))[..., 0] for each in (image, adjust_hue(image, -0.1)))
    wanted = hue + np.array(int(-0.1 * 255)).astype(np.uint8)  # torchvision's arithmetic, which wraps as uint8
    distance = np.abs(shifted.astype(int) - wanted.astype(int))
    assert np.median(np.minimum(distance, 256 - distance)) <= 1  # through RGB and back


@pytest.mark.parametrize("kind", [RandomColorJitter, RandomGray, RandomGaussianBlur])
def test_probability_and_input_left_alone(kind):
    image = picture(24, 24)
    before = image.copy()
    transform = kind(prob=0.3)
    changed = np.mean([not np.array_equal(transform(dict(img=image))["img"], before) for _ in range(300)])
    assert 0.2 < changed < 0.4
    assert np.array_equal(image, before)
    assert np.array_equal(kind(prob=0.0)(dict(img=image))["img"], before)


def test_what_is_refused():
    with pytest.raises(TypeError, match="uint8.*a.jpg"):
        RandomGray()(dict(img=picture().astype(np.float32), img_path="a.jpg"))
    for kind, options in (
        (RandomGray, dict(prob=1.2)),
        (RandomColorJitter, dict(hue=0.6)),
        (RandomGaussianBlur, dict(sigma=(2.0, 0.1))),
    ):
        with pytest.raises(ValueError, match=next(iter(options))):
            kind(**options)
