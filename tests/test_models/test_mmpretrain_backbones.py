"""Backbones of mmpretrain under AllSpark: the shipped configs at tiny size, trained for real."""

import pytest

pytest.importorskip("mmpretrain", reason="mmpretrain is an extra: pip install -e '.[mmpretrain]'")

import torch
from builders import ROOT
from mmengine.config import Config
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

TINY = dict(embed_dims=32, num_layers=12, num_heads=2, feedforward_channels=32, global_attn_indexes=[2, 5, 8, 11])


def tiny_model(name, img_size):
    """The config's model, 32 channels wide and at a crop of 3 x 3 patches."""
    cfg = Config.fromfile(ROOT / "configs/allspark" / name)
    model = cfg.model
    model.backbone.update(init_cfg=None, arch=TINY, img_size=img_size)
    model.neck.update(in_channels=32, memory_size=(3, 3))
    model.decode_head.update(in_channels=[32] * 4, channels=8, norm_cfg=dict(type="BN"))
    crop = 3 * model.backbone.patch_size
    model.test_cfg.update(crop_size=(crop, crop), stride=(crop - 8, crop - 8))
    return MODELS.build(model), crop


@pytest.mark.parametrize(("name", "img_size"), [("dinov2-b14_voc_1-8.py", 42), ("sam-b16_voc_1-8.py", 96)])
def test_trains_and_predicts(name, img_size):
    torch.manual_seed(0)
    model, crop = tiny_model(name, img_size)
    images = torch.randn(3, 3, crop, crop)
    pseudo_logits = model.label_unlabeled(dict(weak=images[1:]))
    assert pseudo_logits.shape == (2, 21, crop, crop)
    model.train()
    feats = model.extract_feat(images, num_labeled=1, pseudo_logits=pseudo_logits, use_memory=True)
    model.decode(feats).square().mean().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None and not n.startswith("backbone.ln1")]
    # the class token and what only it uses have no part in feature maps
    assert without == []
    # an image smaller than the window is padded to whole patches and the prediction cropped back
    size = (crop - 7, crop - 3)
    batch = model.data_preprocessor(
        dict(inputs=[torch.zeros(3, *size, dtype=torch.uint8)], data_samples=[SegDataSample()])
    )
    patch = model.backbone.patch_embed.projection.stride[0]
    assert all(side % patch == 0 for side in batch["inputs"].shape[2:])
    batch["data_samples"][0].set_metainfo(dict(ori_shape=size))
    model.eval()
    with torch.no_grad():
        assert model.predict(**batch)[0].pred_sem_seg.shape == size
    metas = [dict(ori_shape=(50, 70), img_shape=(50, 70), pad_shape=(50, 70))]
    with torch.no_grad():
        assert model.inference(torch.randn(1, 3, 50, 70), metas).shape == (1, 21, 50, 70)
