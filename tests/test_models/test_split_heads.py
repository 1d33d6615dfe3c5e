import pytest
import torch
from builders import WIDTHS, feature_levels, head_config
from mmseg.registry import MODELS

from mmseg_allspark.models import HeadTail, SplitHead

ASPP = dict(in_channels=WIDTHS[-1], in_index=3, dilations=(1, 2))
HEADS = dict(
    SegformerMLPHead=({}, "SegformerMLPHead", 4 * 16),
    SplitASPPHead=(ASPP, "ASPPHead", 3 * 16),
    DeepLabV3PlusHead=(ASPP | dict(c1_in_channels=WIDTHS[0], c1_channels=6), "DeepLabV3PlusHead", 16 + 6),
)  # fmt: skip
each_head = pytest.mark.parametrize("name", HEADS)


def build(name, **changes):
    return MODELS.build(head_config(type=name, **HEADS[name][0], **changes))


@each_head
@pytest.mark.parametrize("norm", [dict(type="BN"), None])
def test_parts_in_a_row_are_the_head_that_mmseg_or_we_have(name, norm):
    head = build(name, norm_cfg=norm).eval()
    parent = MODELS.build(head_config(type=HEADS[name][1], norm_cfg=norm, **HEADS[name][0])).eval()
    parent.load_state_dict(head.state_dict(), strict=True)
    feats = feature_levels()
    trunk = head.trunk(feats)
    assert trunk.shape[1] == head.trunk_channels == HEADS[name][2]
    for logits in (head.tail(trunk), head(feats)):
        torch.testing.assert_close(logits, parent(feats), rtol=1e-4, atol=1e-5)


@each_head
def test_second_tail_has_the_form_of_the_first_and_weights_of_its_own(name):
    head = build(name, norm_cfg=None).eval()
    tail = head.build_tail().eval()
    assert isinstance(head, SplitHead) and isinstance(tail, HeadTail) and tail.training_only
    trunk = torch.randn(2, head.trunk_channels, 4, 4)
    assert tail(trunk).shape == (2, 4, 4, 4)
    assert not torch.allclose(tail(trunk), head.tail(trunk))
    assert not {id(parameter) for parameter in tail.parameters()} & {id(parameter) for parameter in head.parameters()}
    fuse = head.fusion_conv if name == "SegformerMLPHead" else head.fuse if "Plus" in name else head.bottleneck
    tail.fuse.load_state_dict(fuse.state_dict(), strict=True)
    tail.conv_seg.load_state_dict(head.conv_seg.state_dict())
    torch.testing.assert_close(tail(trunk), head.tail(trunk))


@each_head
def test_second_tail_starts_as_the_head_and_drops_as_many_channels(name):
    """mmseg's heads start their classifier with deviation 0.01 and no bias, ours with torch's own start."""
    head = build(name, num_classes=40, dropout_ratio=0.3)
    tail = head.build_tail()
    assert tail.dropout.p == 0.3
    for part in (head, tail):
        part.init_weights()
    assert tail.conv_seg.weight.std().item() == pytest.approx(head.conv_seg.weight.std().item(), rel=0.2)
    assert tail.conv_seg.bias.any() == head.conv_seg.bias.any()


def test_settings_that_the_released_head_does_not_have_are_refused():
    with pytest.raises(TypeError, match="act_cfg"):
        build("DeepLabV3PlusHead", act_cfg=dict(type="GELU"))


def test_other_heads_are_not_in_two_parts():
    assert not isinstance(MODELS.build(head_config(type="SegformerHead")), SplitHead)
