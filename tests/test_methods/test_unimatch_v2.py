"""UniMatch V2's channel dropout, views and sliding windows; the release's figures are in tests/golden_methods."""

import pytest
import torch
from builders import CROP, Labeler, build_model, model_config, semi_batch
from mmengine.config import ConfigDict
from torch.nn.functional import interpolate

from mmseg_allspark.inference.plain import plain_model
from mmseg_allspark.labels import PseudoLabel

OURS = dict(type="UniMatchV2Segmentor", neck=None)


def unimatch_v2(**changes):
    return build_model(**OURS | changes)


@pytest.mark.parametrize(("images", "share", "spared"), [(4, 0.5, 2), (3, 0.5, 1), (1, 0.5, 0), (4, 0.0, 0)])
def test_views_share_out_the_channels_of_all_images_that_are_not_spared(images, share, spared):
    """At all levels alike, whatever their widths."""
    model = unimatch_v2(keep_share=share)
    levels = model.drop_channels([torch.ones(1 + 2 * images, width, 1, 1) for width in (400, 300)], num_labeled=1)
    first, second = levels[0][1:, :, 0, 0].chunk(2)
    assert torch.equal(first + second, torch.full((images, 400), 2.0))
    is_spared = (first == 1).all(dim=1)
    assert torch.equal(is_spared, (levels[1][1 : 1 + images, :, 0, 0] == 1).all(dim=1))
    assert is_spared.sum() == spared
    dropped = first[~is_spared]
    assert set(dropped.unique().tolist()) <= {0.0, 2.0}
    assert abs(dropped.mean().item() - 1) < 0.15


def test_levels_of_one_width_lose_the_same_channels_and_labeled_images_lose_none():
    model = unimatch_v2(keep_share=0.0)
    levels = [torch.ones(1 + 2 * 2, width, 3, 3) for width in (16, 16, 8)]
    first, second, other = model.drop_channels(levels, num_labeled=1)
    assert torch.equal(first, second)
    for level in (first, other):
        assert (level[0] == 1).all()
        assert torch.equal(level, level[:, :, :1, :1].expand_as(level))
        assert torch.equal(level[1:3] + level[3:5], torch.full_like(level[1:3], 2.0))
        assert not torch.equal(level[1], level[2])


def test_a_single_unlabeled_image_is_not_mixed():
    model = unimatch_v2(cutmix=dict(prob=1.0), confidence=None)
    step = dict(labels_from="ema", labelers=(Labeler(torch.randn(1, 4, CROP, CROP)),))
    views = ("strong1", "strong2")
    batch = semi_batch(model, unlabeled=1, views=views, valid=torch.arange(CROP)[:, None] < 50, **step)
    pseudo = model.label(batch["inputs"], batch["data_samples"], batch["step"])
    images, mixed = model.mix(batch["inputs"], batch["data_samples"], pseudo, batch["step"])
    assert torch.equal(images, torch.cat([batch["inputs"]["strong1"], batch["inputs"]["strong2"]]))
    assert isinstance(mixed, PseudoLabel) and torch.equal(mixed.label, pseudo.label.repeat(2, 1, 1))


@pytest.mark.parametrize("average", ["logits", "probability"])
def test_windows_are_averaged_as_logits_or_as_probabilities(average):
    test_cfg = dict(mode="slide", crop_size=(CROP, 40), stride=(CROP, 25), average=average)
    model = unimatch_v2(test_cfg=test_cfg).eval()
    image = torch.randn(1, 3, CROP, CROP)
    with torch.no_grad():
        ours = model.inference(image, [dict(img_shape=(CROP, CROP), ori_shape=(CROP, CROP))])
        left, right = (
            interpolate(model.decode_head(model.backbone(part)), size=(CROP, 40), mode="bilinear")
            for part in (image[..., :40], image[..., 25:])
        )
    if average == "probability":
        mean = ((left.softmax(1)[..., 25:] + right.softmax(1)[..., :15]) / 2).log()
        ours = ours.log_softmax(1)
    else:
        mean = (left[..., 25:] + right[..., :15]) / 2
    torch.testing.assert_close(ours[..., 25:40], mean, rtol=1e-4, atol=1e-5)


def test_a_plain_model_says_nothing_of_an_average_that_mmseg_does_not_have():
    config = model_config(**OURS, test_cfg=dict(mode="slide", average="probability", stride=(9, 9), crop_size=(9, 9)))
    assert plain_model(config).test_cfg == dict(mode="slide", stride=(9, 9), crop_size=(9, 9))


def test_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="average='mean'"):
        unimatch_v2(test_cfg=ConfigDict(mode="slide", average="mean"))
    with pytest.raises(ValueError, match="unlabeled_view='strong'"):
        unimatch_v2(unlabeled_view="strong")
