import pytest
import torch
from mmcv.cnn import NonLocal2d

from mmseg_allspark.models import MITrans


def test_no_map_is_kept():
    inputs, kept = torch.randn(2, 4, 16, 16, requires_grad=True), []

    def keep(saved):
        kept.append(saved.numel())
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        MITrans(4).non_local(inputs).sum().backward()
    assert kept and max(kept) < 2 * (16 * 16) ** 2


def test_non_local_block_begins_as_the_identity():
    module, inputs = MITrans(8), torch.randn(2, 8, 5, 6)
    torch.testing.assert_close(module.non_local(inputs), inputs)
    torch.nn.init.normal_(module.non_local.conv_out.conv.weight)
    assert not torch.allclose(module.non_local(inputs), inputs)
    torch.testing.assert_close(module.non_local(inputs), NonLocal2d.forward(module.non_local, inputs))  # mmcv's own


def test_output_is_that_of_the_parts_in_order():
    module, x = MITrans(6), torch.randn(1, 6, 4, 3)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    conv = lambda part, value: torch.relu(torch.conv2d(value, part.conv.weight, part.conv.bias, padding=1))  # noqa: E731
    u, block = conv(module.before, x), module.non_local
    one = lambda part: torch.einsum("oi,bin->bon", part.conv.weight[:, :, 0, 0], u.flatten(2)) + part.conv.bias[:, None]  # noqa: E731
    theta, phi, g = one(block.theta), one(block.phi), one(block.g)
    similarity = torch.einsum("bcn,bcm->bnm", theta, phi) / 3**0.5  # 6 / reduction channels
    value = torch.einsum("bnm,bcm->bcn", similarity.softmax(dim=2), g)
    out = torch.einsum("oi,bin->bon", block.conv_out.conv.weight[:, :, 0, 0], value) + block.conv_out.conv.bias[:, None]
    u = conv(module.after[0], u + out.view_as(u))
    torch.testing.assert_close(module(x), conv(module.last, torch.cat([x, u], dim=1)))


@pytest.mark.parametrize(("channels", "out"), [(None, 12), (12, 12), (4, 4)])
@pytest.mark.parametrize("concat", [True, False])
def test_shape_and_width(channels, out, concat):
    module = MITrans(12, channels=channels, concat_input=concat)
    assert module(torch.randn(2, 12, 3, 5)).shape == (2, out, 3, 5)
    assert module.out_channels == out


def test_number_of_weights_at_half_the_width_of_a_deeplab_head():
    count = sum(parameter.numel() for parameter in MITrans(2560, channels=512).parameters())
    assert count == pytest.approx(10e6 + 2560 * 512, rel=0.05)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (dict(num_convs=1), "mitrans.num_convs=1: one stands before"),
        (dict(num_convs=0), "mitrans.num_convs must be at least 1"),
        (dict(channels=0), "mitrans.channels"),
        (dict(reduction=99), "mitrans.reduction=99 leaves nothing of channels=8"),
    ],
)
def test_options_that_cannot_be(options, text):
    with pytest.raises(ValueError, match=text):
        MITrans(8, **options)
