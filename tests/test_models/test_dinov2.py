"""DINOv2 for dense prediction: sizes, weights' names, freezing and export; its values are in tests/golden_methods."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.nn.functional import interpolate

dinov2 = pytest.importorskip("mmseg_allspark.models.backbones.dinov2", reason="needs mmpretrain")

ARCH = dict(embed_dims=16, num_layers=8, num_heads=2, feedforward_channels=32)


def backbone_of(**changes):
    torch.manual_seed(0)
    return dinov2.DINOv2Backbone(**dict(arch=ARCH, img_size=70) | changes)


def model_of(**changes):
    return MODELS.build(
        ConfigDict(
            type="EncoderDecoder",
            data_preprocessor=dict(type="SegDataPreProcessor", mean=[127.0] * 3, std=[64.0] * 3),
            backbone=dict(type="DINOv2Backbone", arch=ARCH, img_size=70),
            decode_head=dict(
                type="PlainDPTHead", in_channels=[16] * 4, channels=4, level_channels=[2, 4, 6, 8], num_classes=3
            ),
            **changes,
        )
    )


def test_sizes_are_those_of_mmpretrain_whose_weights_fit():
    for arch, width, depth, taps in (
        ("small", 384, 12, (2, 5, 8, 11)),
        ("base", 768, 12, (2, 5, 8, 11)),
        ("large", 1024, 24, (4, 11, 17, 23)),
    ):
        with torch.device("meta"):
            ours = dinov2.DINOv2Backbone(arch=arch)
            name = dict(small="dinov2-small").get(arch, arch)
            theirs = dinov2.VisionTransformer(arch=name, img_size=518, patch_size=14, layer_scale_init_value=1e-5)
        assert (ours.embed_dims, len(ours.layers), tuple(ours.out_indices)) == (width, depth, taps)
        shapes = [{key: value.shape for key, value in part.state_dict().items()} for part in (ours, theirs)]
        assert shapes[0] == shapes[1]


def test_every_map_is_normed_and_every_parameter_learns():
    backbone = backbone_of()
    maps = backbone(torch.randn(2, 3, 56, 84))
    assert [tuple(level.shape) for level in maps] == [(2, 16, 4, 6)] * 4
    for level in maps:
        torch.testing.assert_close(level.mean(dim=1), torch.zeros(2, 4, 6), rtol=0, atol=1e-5)
    sum(level.pow(3).sum() for level in maps).backward()
    assert [name for name, parameter in backbone.named_parameters() if parameter.grad is None] == []


def test_images_of_any_size_are_resized_for_evaluation_and_refused_in_training():
    backbone, images = backbone_of(), torch.randn(1, 3, 21, 20)
    with pytest.raises(ValueError, match=r"21x20.*multiples of it, for example \(28, 14\)"):
        backbone(images)
    backbone.eval()
    with torch.no_grad():
        got = backbone(images)
        expected = backbone(interpolate(images, size=(28, 14), mode="bilinear", align_corners=True))
        fitting = torch.randn(1, 3, 42, 70)
        assert torch.equal(backbone.fit_to_patches(fitting), fitting)
        assert backbone(torch.randn(1, 3, 3, 9))[0].shape[2:] == (1, 1)
    assert all(torch.equal(*pair) for pair in zip(got, expected, strict=True))


@pytest.mark.parametrize("test_cfg", [dict(mode="whole"), dict(mode="slide", crop_size=(30, 30), stride=(20, 20))])
def test_a_supervised_model_predicts_at_the_size_of_the_image(test_cfg):
    model = model_of(test_cfg=test_cfg).eval()
    sample = SegDataSample(metainfo=dict(img_shape=(41, 37), ori_shape=(41, 37)))
    batch = model.data_preprocessor(dict(inputs=[torch.zeros(3, 41, 37, dtype=torch.uint8)], data_samples=[sample]))
    with torch.no_grad():
        assert model.predict(**batch)[0].pred_sem_seg.shape == (41, 37)


def test_a_frozen_encoder_has_nothing_to_learn():
    backbone = backbone_of(frozen=True)
    assert not [name for name, parameter in backbone.named_parameters() if parameter.requires_grad]


@pytest.mark.slow
def test_an_exported_graph_takes_images_of_any_size():
    """With the stored grid, 5 x 5, among them."""
    pytest.importorskip("torch", minversion="2.7")
    backbone, free = backbone_of(), torch.export.Dim.DYNAMIC
    torch.nn.init.normal_(backbone.pos_embed)
    backbone.eval()
    program = torch.export.export(backbone, (torch.randn(1, 3, 85, 120),), dynamic_shapes=({2: free, 3: free},))
    for size in ((85, 120), (70, 70), (33, 141)):
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            for exported, ours in zip(program.module()(images), backbone(images), strict=True):
                torch.testing.assert_close(exported, ours)
