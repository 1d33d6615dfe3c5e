"""Who of GTA-Seg's networks learns from what, what is transferred, and what a resumed training goes on with."""

import pytest
import torch
from builders import build_model, head_config, model_config, semi_batch, train

from mmseg_allspark.engine.hooks.mean_teacher import MeanTeacherHook
from mmseg_allspark.labels import PseudoLabel
from mmseg_allspark.methods import Step


def gta(**changes):
    return build_model(**dict(type="GTASegmentor", neck=None, mask_padding=False) | changes)


def gradients(model, which):
    """Parameters that a loss of the unlabeled or the labeled images reaches, without the first transfer's copy."""
    losses = model(**semi_batch(model), mode="loss")
    sum(value for name, value in losses.items() if "loss" in name and name.startswith(which)).backward()
    return {name for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_the_student_learns_from_masks_and_the_assistant_from_pseudo_labels():
    of_labeled, of_unlabeled = gradients(gta(), "sup"), gradients(gta(), "unsup")
    assert of_labeled and not any(name.startswith("second.") for name in of_labeled)
    assert of_unlabeled == {f"second.{name}" for name in of_labeled}


def test_a_shared_classifier_learns_from_both():
    both = gradients(gta(share_classifier=True), "sup") & gradients(gta(share_classifier=True), "unsup")
    assert both == {"decode_head.conv_seg.weight", "decode_head.conv_seg.bias"}


def test_a_shared_classifier_is_validated_with_the_teachers_weights(data, tmp_path):
    hooks = [dict(type="MeanTeacherHook", momentum=0.3)]
    loop = dict(max_iters=2, val_interval=2, pseudo_labels_from="ema")
    model = model_config(type="GTASegmentor", neck=None, share_classifier=True, mask_padding=False)
    optimizer = dict(optimizer=dict(type="SGD", lr=0.1), paramwise_cfg=dict(bypass_duplicate=True))
    runner = train(data, tmp_path, loop=loop, model=model, validate=True, custom_hooks=hooks, optim_wrapper=optimizer)
    teacher = next(hook for hook in runner.hooks if isinstance(hook, MeanTeacherHook)).ema_model.module
    weights = [network.decode_head.conv_seg.weight for network in (runner.model, teacher)]
    assert not torch.equal(*weights)
    assert runner.model.second.decode_head.conv_seg is runner.model.decode_head.conv_seg


def test_the_first_step_copies_the_student_and_the_share_of_later_ones_has_an_end():
    model = gta()
    student = {name: value.clone() for name, value in model.named_parameters() if not name.startswith("second.")}
    assert any(not torch.equal(value, student[name]) for name, value in model.second.named_parameters())
    model.transfer()
    for name, value in model.second.named_parameters():
        assert torch.equal(value, student[name]) and torch.equal(model.get_parameter(name), student[name])
    model.transfers.count.fill_(10**6)
    assert model.transfers.share(0.001) == pytest.approx(0.001)


def test_nothing_is_transferred_before_unlabeled_images_count():
    model = gta()
    before = [parameter.clone() for parameter in model.parameters()]
    model(**semi_batch(model, unsup_scale=0.0), mode="loss")
    assert model.transfers.count == 0
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_pixels_of_the_lowest_confidence_are_dropped():
    model, logits = gta(), torch.randn(2, 4, 10, 10)
    confidence = torch.rand(2, 10, 10)
    valid = torch.ones(2, 10, 10, dtype=torch.bool)
    valid[:, 8:] = False
    pseudo = PseudoLabel(logits, logits.argmax(1), torch.ones(2, 10, 10), valid)
    loss, learned = model.assistant_loss(logits, pseudo, confidence)
    assert learned.sum() == 128 and not learned[:, 8:].any()
    assert confidence[learned].min() > confidence[valid & ~learned].max()
    changed = logits.clone()
    changed[:, :, 8:] = 100.0  # padding has no part in the loss
    assert model.assistant_loss(changed, pseudo, confidence)[0] == loss
    equal, learned = model.assistant_loss(logits, pseudo, torch.full((2, 10, 10), 0.5))
    assert equal == 0 and not learned.any()


@pytest.mark.parametrize("source", ["mixed", "weak"])
def test_confidence_is_that_of_the_mixed_images_or_of_the_labels(source):
    """A teacher in train mode moves its batch norm; the assistant is none of its own."""
    model, teacher = gta(confidence_from=source, cutmix=None), gta(seed=1)
    before = {name: value.clone() for name, value in teacher.named_buffers()}
    model(**semi_batch(model) | dict(step=Step(labelers=(teacher,))), mode="loss")
    moved = {name for name, value in teacher.named_buffers() if not torch.equal(value, before[name])}
    assert bool(moved) == (source == "mixed") and not any(name.startswith("second.") for name in moved)


def test_a_wrong_classifier_and_a_second_network_are_named():
    with pytest.raises(ValueError, match="'SegformerMLPHead' has no module 'fuse'.*fusion_conv"):
        gta(classifier=["fuse"])
    assert gta(classifier=["fusion_conv", "conv_seg"]).classifier == ["fusion_conv", "conv_seg"]
    with pytest.raises(TypeError, match="model.second means nothing to GTASegmentor"):
        gta(second=dict(decode_head=head_config()))
