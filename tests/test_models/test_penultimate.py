"""Features before the classifier, of every kind of head that a zoo config may have."""

import pytest
import torch
from builders import WIDTHS, feature_levels, head_config
from mmseg.registry import MODELS

from mmseg_allspark.models import ProjectionHead, decode_with_features

NORM = dict(type="BN")
LAST = dict(in_channels=WIDTHS[-1], in_index=3)
ALL = dict(in_channels=WIDTHS, in_index=[0, 1, 2, 3])
HEADS = {
    "FCNHead": LAST | dict(num_convs=1),
    "ASPPHead": LAST | dict(dilations=(1, 2)),
    "PSPHead": LAST | dict(pool_scales=(1, 2)),
    "DepthwiseSeparableASPPHead": LAST | dict(dilations=(1, 2), c1_in_channels=WIDTHS[0], c1_channels=4),
    "UPerHead": ALL | dict(pool_scales=(1, 2)),
    "SegformerHead": ALL,
    "SegformerMLPHead": ALL,
    "SplitASPPHead": LAST | dict(dilations=(1, 2)),
    "DeepLabV3PlusHead": LAST | dict(dilations=(1, 2), c1_in_channels=WIDTHS[0], c1_channels=4),
}


@pytest.mark.parametrize("kind", HEADS)
def test_the_classifier_of_the_features_gives_the_logits(kind):
    head = MODELS.build(dict(type=kind, channels=8, num_classes=5, norm_cfg=NORM, **HEADS[kind])).eval()
    levels = feature_levels()
    logits, features = decode_with_features(head, levels)
    torch.testing.assert_close(logits, head(levels))
    torch.testing.assert_close(head.conv_seg(features), logits)
    assert "cls_seg" not in vars(head)
    assert ProjectionHead(features.shape[1], 6, NORM)(features).shape == (2, 6, *features.shape[2:])


def test_a_head_without_a_classifier_of_pixels_is_refused():
    head = MODELS.build(head_config())
    head.forward = lambda levels: levels[0]
    with pytest.raises(TypeError, match="'SegformerMLPHead' does not classify by cls_seg"):
        decode_with_features(head, feature_levels())
