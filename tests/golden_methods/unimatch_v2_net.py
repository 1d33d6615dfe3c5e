"""UniMatch V2: a tiny DINOv2 with the head, and complementary channel dropout."""

import pytest
import torch

from mmseg_allspark.methods import UniMatchV2Segmentor
from mmseg_allspark.methods.unimatch_v2 import complementary_factors

from .unimatch_v2 import LOSS, load_released

ARCH = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32)


def build(arrays):
    pytest.importorskip("mmseg_allspark.models.backbones.dinov2", reason="needs mmpretrain")  # registers itself
    model = UniMatchV2Segmentor(
        backbone=dict(type="DINOv2Backbone", arch=ARCH, img_size=70),
        decode_head=dict(
            type="PlainDPTHead", in_channels=[16] * 4, channels=4, level_channels=[2, 4, 6, 8], num_classes=3,
            loss_decode=LOSS,
        ),
    )  # fmt: skip
    load_released(model, arrays)
    return model


def compare_net(arrays):
    model = build(arrays)
    backbone = model.backbone
    images = torch.from_numpy(arrays["in"])
    with torch.no_grad():
        for level, feats in enumerate(backbone(images)):
            yield "tokens of four blocks", feats.flatten(2).transpose(1, 2), arrays[f"tokens.{level}"]
        yield "position embedding, 4 x 7", backbone.positions((4, 7)), arrays["pos_embed_4x7"]
        yield "position embedding, 5 x 5", backbone.positions((5, 5)), arrays["pos_embed_5x5_same"]
        logits = model.upsample(model.decode(backbone(images)), images.shape[2:])
        yield "logits at image size", logits, arrays["out_plain"]
        yield from compare_dropout(model, {key[5:]: value for key, value in arrays.items() if key.startswith("drop.")})


def compare_dropout(model, arrays):
    chosen = torch.from_numpy(arrays["draw_binomial_x2"]) > 0
    spared = torch.isin(torch.arange(len(chosen)), torch.from_numpy(arrays["draw_kept"]))
    factors = complementary_factors(chosen, spared)
    yield "factors of channels", factors.flatten(0, 1), arrays["mask"]
    model.draw_factors = lambda *_: factors
    images = torch.from_numpy(arrays["in"])
    plain = model.backbone(images)
    dropped = model.drop_channels(plain, num_labeled=0)
    for level in range(4):
        for name, feats in dict(plain=plain, dropped=dropped).items():
            tokens = feats[level].flatten(2).transpose(1, 2)
            yield f"features, {name}", tokens, arrays[f"features_{name}.{level}"]
    yield "logits with dropped channels", model.upsample(model.decode(dropped), images.shape[2:]), arrays["out"]


GROUPS = dict(net=compare_net)
