"""The plain DPT head's sizes; its values are in tests/golden_methods."""

import pytest
import torch

from mmseg_allspark.models import PlainDPTHead


def head_of(width=8, channels=4, level_channels=(2, 4, 6, 8), **changes):
    return PlainDPTHead([width] * 4, channels, level_channels, num_classes=21, **changes)


# the release's numbers, of which 2 x (9 f f + f) belong to a unit that is never used
SIZES = [
    (384, 64, (48, 96, 192, 384), 2_739_061),
    (768, 128, (96, 192, 384, 768), 10_948_309),
    (1024, 256, (256, 512, 1024, 1024), 31_210_517),
]


@pytest.mark.parametrize(("width", "channels", "level_channels", "released"), SIZES)
def test_has_the_released_parameters_but_for_the_unused_ones(width, channels, level_channels, released):
    with torch.device("meta"):
        head = head_of(width, channels, level_channels)
    unused = 2 * (9 * channels * channels + channels)
    assert sum(parameter.numel() for parameter in head.parameters()) == released - unused


def test_logits_are_eight_times_the_grid_and_the_deepest_level_is_half_of_it():
    head, seen = head_of(), []
    head.narrow[3].register_forward_hook(lambda _, __, out: seen.append(out.shape[2:]))
    assert head([torch.randn(1, 8, 37, 5)] * 4).shape == (1, 21, 296, 40)
    assert seen == [(19, 3)]


def test_starts_with_torchs_own_initialisation():
    """mmseg's heads start their classifier with Normal(0.01)."""
    torch.manual_seed(0)
    head = head_of(width=64, channels=64)
    before = {name: value.clone() for name, value in head.state_dict().items()}
    head.init_weights()
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())
    assert head.conv_seg.weight.std().item() == pytest.approx(64**-0.5 / 3**0.5, rel=0.1)


def test_refuses_other_maps_and_options():
    with pytest.raises(ValueError, match="four of one size"):
        head_of()([torch.randn(1, 8, side, side) for side in (8, 4, 2, 1)])
    with pytest.raises(ValueError, match="level_channels"):
        head_of(level_channels=(2, 4, 6))
    with pytest.raises(TypeError, match="norm_cfg means nothing"):
        head_of(norm_cfg=dict(type="BN"))
