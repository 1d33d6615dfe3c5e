"""What tests/test_config_runs.py does not show of mmpretrain's backbones: small images, and gradients."""

import pytest

pytest.importorskip("mmpretrain", reason="mmpretrain is an extra: pip install -e '.[mmpretrain]'")

import torch
from builders import ROOT
from mmengine.config import Config
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from small_configs import shrink


@pytest.mark.parametrize("name", ["dinov2-b14_voc_1-8.py", "sam-b16_voc_1-8.py"])
def test_every_weight_learns_and_small_images_are_padded_to_whole_patches(name):
    model = MODELS.build(shrink(Config.fromfile(ROOT / "configs/allspark" / name)).model).train()
    patch = model.backbone.patch_embed.projection.stride[0]
    crop = 3 * patch
    images, pseudo_logits = torch.randn(3, 3, crop, crop), torch.randn(2, 21, crop, crop)
    feats = model.extract_feat(images, num_labeled=1, pseudo_logits=pseudo_logits, use_memory=True)
    model.decode(feats).square().mean().backward()
    # the class token and what only it uses have no part in feature maps
    assert not [n for n, p in model.named_parameters() if p.grad is None and not n.startswith("backbone.ln1")]
    size = (crop - 7, crop - 3)
    batch = model.data_preprocessor(
        dict(inputs=[torch.zeros(3, *size, dtype=torch.uint8)], data_samples=[SegDataSample()])
    )
    assert all(side % patch == 0 for side in batch["inputs"].shape[2:])
    batch["data_samples"][0].set_metainfo(dict(ori_shape=size))
    with torch.no_grad():
        assert model.eval().predict(**batch)[0].pred_sem_seg.shape == size
