import pytest
import torch
from builders import WIDTHS, backbone_config, head_config
from mmseg.registry import MODELS
from torch import nn
from torch.nn.functional import interpolate


def levels(batch=2, side=16):
    return [torch.randn(batch, width, side >> i, side >> i) for i, width in enumerate(WIDTHS)]


@pytest.mark.parametrize("norm", [None, dict(type="BN")])
def test_mlp_head_is_linear_per_level_and_deepest_first(norm):
    """Without a norm the fusing convolution has a bias."""
    head = MODELS.build(head_config(norm_cfg=norm)).eval()
    if norm is not None:
        head.fusion_conv.bn.running_mean.normal_()
        head.fusion_conv.bn.running_var.uniform_(0.5, 2.0)
    inputs = levels()
    mapped = []
    for level, layer in zip(inputs, head.convs, strict=True):
        assert isinstance(layer, nn.Conv2d)  # neither norm nor activation
        linear = torch.einsum("oi,bihw->bohw", layer.weight[:, :, 0, 0], level) + layer.bias[:, None, None]
        mapped.append(interpolate(linear, size=(16, 16), mode="bilinear", align_corners=False))
    c1, c2, c3, c4 = mapped
    fused = head.fusion_conv.conv(torch.cat([c4, c3, c2, c1], dim=1))
    fused = torch.relu(fused if norm is None else head.fusion_conv.bn(fused))
    torch.testing.assert_close(head(inputs), head.conv_seg(fused), rtol=1e-4, atol=1e-5)


def test_reference_mit_differs_from_mmseg_in_eps_only():
    """Patch embeddings and key reductions: torch's 1e-5; blocks and stages: 1e-6."""
    ours = MODELS.build(backbone_config())
    theirs = MODELS.build(backbone_config(type="MixVisionTransformer"))
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    patch_norms, reduction_norms, others = [], [], []
    for name, module in ours.named_modules():
        if isinstance(module, nn.LayerNorm):
            kind = patch_norms if name.endswith("0.norm") else reduction_norms if ".attn.norm" in name else others
            kind.append(module.eps)
    assert patch_norms == [1e-5] * 4
    assert reduction_norms == [1e-5] * 3  # the deepest stage reduces nothing
    assert len(others) == 12
    assert set(others) == {1e-6}


@pytest.mark.parametrize("training", [True, False])
def test_reference_mit_computes_the_same_without_attention_maps(training, monkeypatch):
    backbone = MODELS.build(backbone_config()).train(training)
    image, results = torch.randn(1, 3, 64, 64), []
    products = []
    original = torch.bmm
    monkeypatch.setattr(torch, "bmm", lambda *args, **kwargs: products.append(1) or original(*args, **kwargs))
    for hooks_on in (True, False):
        if not hooks_on:
            for module in backbone.modules():
                if isinstance(module, nn.MultiheadAttention):
                    module._forward_pre_hooks.clear()
        products.clear()
        torch.manual_seed(0)
        results.append(backbone(image))
        assert bool(products) is not hooks_on  # torch's own attention with maps is two calls of bmm
    for fused, formed in zip(*results, strict=True):
        torch.testing.assert_close(fused, formed, rtol=1e-4, atol=1e-5)


def test_reference_mit_runs_at_odd_sizes():
    backbone = MODELS.build(backbone_config()).eval()
    shapes = [tuple(level.shape[2:]) for level in backbone(torch.randn(1, 3, 65, 97))]
    assert shapes == [(17, 25), (9, 13), (5, 7), (3, 4)]
