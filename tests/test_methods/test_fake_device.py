"""A whole step of every method on a device that gives no values: as far as devices and reads by the host go."""

import pytest
import torch
from builders import CROP, semi_batch
from mmseg.registry import MODELS
from small_methods import FEW_CASES, method_model

from mmseg_allspark.methods import SemiSegmentor, Step

from .fake_device import DEVICE, fake_device, to_device


def a_step(model):
    """Losses and gradients, with a teacher that labels."""
    batch = semi_batch(model, views=("strong1", "strong2"), valid=torch.ones(CROP, CROP, dtype=torch.bool))
    with fake_device():
        model = to_device(model).train()
        inputs, samples = to_device(batch["inputs"]), to_device(batch["data_samples"])
        losses = model(inputs, samples, mode="loss", step=Step(labels_from="ema", labelers=(model,)))
        total = sum(value for name, value in losses.items() if "loss" in name)
        total.backward()
        assert total.device.type == DEVICE
        assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("case", FEW_CASES, ids="-".join)
def test_a_step_stays_on_the_device(case):
    a_step(MODELS.build(method_model(*case)))


def test_a_step_of_dinov2_stays_on_the_device():
    """With a grid of 5 x 5 patches for which the positions are resampled."""
    pytest.importorskip("mmseg_allspark.models.backbones.dinov2", reason="needs mmpretrain")
    arch = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32)
    head = dict(type="PlainDPTHead", in_channels=[16] * 4, channels=8, level_channels=[4, 4, 8, 8], num_classes=4)
    config = method_model("unimatch_v2", "plain")
    config.backbone = dict(type="DINOv2Backbone", arch=arch, patch_size=CROP // 5, img_size=3 * CROP // 5)
    config.decode_head = head | dict(loss_decode=config.decode_head.loss_decode)
    a_step(MODELS.build(config))


class Reads(SemiSegmentor):
    def make_pseudo_label(self, pseudo_logits, valid=None):
        pseudo_logits.max().item()
        return super().make_pseudo_label(pseudo_logits, valid)


class Leaves(SemiSegmentor):
    def make_pseudo_label(self, pseudo_logits, valid=None):
        return super().make_pseudo_label(pseudo_logits + torch.zeros(self.num_classes, 1, 1), valid)


class Copies(SemiSegmentor):
    def make_pseudo_label(self, pseudo_logits, valid=None):
        pseudo_logits.cpu().max().item()
        return super().make_pseudo_label(pseudo_logits, valid)


@pytest.mark.parametrize(
    ("kind", "words"),
    [(Copies, "is copied from meta"), (Reads, "_local_scalar_dense|item"), (Leaves, "meta.*cpu|cpu.*meta")],
)
def test_a_read_and_a_tensor_of_the_host_are_found(kind, words):
    config = method_model("semi", "plain")
    config.pop("type")
    with pytest.raises(Exception, match=words):
        a_step(kind(**config))
