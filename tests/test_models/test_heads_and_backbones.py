import pytest
import torch
from builders import backbone_config
from mmseg.registry import MODELS
from torch import nn


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
