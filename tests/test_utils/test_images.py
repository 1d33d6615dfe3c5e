import numpy as np
import pytest
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import nn

from mmseg_allspark.utils.images import as_8bit, input_channels

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
def test_three_channels_in_their_order(channels):
    image = np.stack([np.roll(RAMP, 5 * index) for index in range(channels)], axis=2)
    shown = [0, 1, 2] if channels >= 3 else [0, 0, 0]
    np.testing.assert_array_equal(as_8bit(image), image[..., shown])
    np.testing.assert_array_equal(as_8bit(image + np.float32(1e-3)), image[..., shown])  # values of 8 bits are kept


@pytest.mark.parametrize("image", [RAMP * np.uint16(257), RAMP * np.uint16(12), RAMP / 255, RAMP - 4000.0])
def test_other_ranges_are_stretched(image):
    shown = as_8bit(image)[..., 0].astype(int)
    assert shown.min() == 0 and shown.max() == 255 and np.abs(shown - RAMP).max() < 5


@pytest.mark.parametrize("value", [0, 7, np.nan, np.inf, 60000])
def test_a_flat_or_broken_image_is_one_colour(value):
    assert len(np.unique(as_8bit(np.full((4, 4), value, np.float32)))) == 1


def test_values_that_are_no_numbers_leave_the_others_alone():
    image = RAMP.astype(np.float32)
    image[0, :3] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(as_8bit(image)[0, :5, 0], [0, 255, 0, 3, 4])


def test_a_large_image_is_stretched_by_a_sample_of_its_pixels(monkeypatch):
    rng = np.random.default_rng(0)
    image = np.stack([rng.normal(mean, 500, (1300, 1700)) for mean in (9000, 20000, 31000)], axis=2).astype(np.uint16)
    low, high = np.percentile(image, (1, 99))
    expected = ((image - low) * 255 / (high - low)).clip(0, 255)
    percentile, sizes = np.percentile, []
    monkeypatch.setattr(np, "percentile", lambda values, q: sizes.append(np.size(values)) or percentile(values, q))
    assert np.abs(as_8bit(image) - expected).max() < 3
    assert 1e5 < max(sizes) < 1e6  # of all of them it takes seconds


@pytest.mark.parametrize("channels", [3, 6])
def test_channels_of_a_segmentor_without_backbone(channels):
    head = dict(type="FCNHead", in_channels=4, channels=4, num_classes=2)
    encoder = dict(type="UNet", in_channels=channels, base_channels=4)
    model = dict(type="MultimodalEncoderDecoder", text_encoder=dict(type=BaseModule), asymetric_input=False)
    assert input_channels(MODELS.build(dict(model, image_encoder=encoder, decode_head=head))) == channels
    assert input_channels(nn.ReLU()) == 3
