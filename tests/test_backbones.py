"""The backbones for own data, by the one line that docs/backbones.md names, and any of timm."""

import json
import re

import pytest
import torch
from builders import ROOT
from mmengine.config import Config
from mmengine.utils import import_modules_from_strings
from mmseg.registry import MODELS

BASES = sorted(path.stem for path in (ROOT / "configs/_base_/own_data").glob("*.py"))
TEMPLATE = (ROOT / "configs/allspark/segformer_b0_own-data.py").read_text()
PAGE = (ROOT / "docs/backbones.md").read_text()
SMALL = {
    "convnext-t": dict(arch=dict(depths=[1] * 4, channels=[96, 192, 384, 768])),
    "mit-b0": dict(num_layers=[1] * 4),
}


def own_config(tmp_path, base, crop):
    """The own-data config on a backbone, with another crop, as a user edits it."""
    text, count = re.subn(r'"\.\./_base_/own_data/mit-b0\.py"', f'"{ROOT}/configs/_base_/own_data/{base}.py"', TEMPLATE)
    text, crops = re.subn(r"^crop_size = .*", f"crop_size = {crop}", text, flags=re.MULTILINE)
    assert count == crops == 1
    (tmp_path / "my_data.py").write_text(text)
    return Config.fromfile(tmp_path / "my_data.py", import_custom_modules=False)


def joint_features(cfg):
    """The features of two labeled and two unlabeled images of the crop, as a training step asks for them."""
    import_modules_from_strings(**cfg.custom_imports)
    cfg.model.backbone.pop("init_cfg", None)
    model = json.loads(json.dumps(cfg.model.to_dict()).replace('"SyncBN"', '"BN"'))
    model = MODELS.build(Config(model)._cfg_dict).train()
    crop = next(step.crop_size for step in cfg.train_dataloader.dataset.pipeline if step.type == "RandomCrop")
    images, pseudo_logits = torch.randn(4, 3, *crop), torch.randn(2, 2, *crop)
    feats = model.extract_feat(images, num_labeled=2, pseudo_logits=pseudo_logits, use_memory=True)
    return model, feats


@pytest.mark.parametrize("base", BASES)
def test_one_line_names_another_backbone(tmp_path, base):
    if base in ("convnext-t", "dinov2-s"):
        pytest.importorskip("mmpretrain", reason="mmpretrain is an extra: pip install -e '.[mmpretrain]'")
    cfg = own_config(tmp_path, base, (70, 84) if base == "dinov2-s" else (64, 96))
    cfg.model.backbone.update(SMALL.get(base, {}))
    model, feats = joint_features(cfg)
    assert model.decode(feats).shape[:2] == (4, 2)


def test_the_page_names_every_backbone():
    assert sorted(re.findall(r"^\| `(\S+)` \|", PAGE, re.MULTILINE)) == BASES


def test_the_line_for_timm_trains_a_backbone(tmp_path):
    pytest.importorskip("timm", reason="timm is no part of the stack: pip install timm torchvision")
    own_config(tmp_path, "mit-b0", (64, 96))
    block = next(text for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "TIMMBackbone" in text)
    (tmp_path / "timm_data.py").write_text(block.replace("pretrained=True", "pretrained=False"))
    model, feats = joint_features(Config.fromfile(tmp_path / "timm_data.py"))
    assert model.decode(feats).shape[:2] == (4, 2)
    assert type(model.backbone).__name__ == "TIMMBackbone"
