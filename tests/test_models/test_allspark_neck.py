"""The whole neck against the steps of its description, and what it does with all kinds of input."""

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from torch.nn.functional import interpolate

from mmseg_allspark.models import AllSparkNeck

from . import oracles

CHANNELS, CLASSES, SIZE = 6, 3, (2, 3)


def make_neck(**changes):
    options = dict(in_channels=CHANNELS, num_classes=CLASSES, memory_size=SIZE, attn_drop=0.0, proj_drop=0.0)
    return AllSparkNeck(**(options | changes))


def feats(batch, size=SIZE, channels=CHANNELS, **options):
    return torch.randn(batch, channels, *size, **options)


def logits(batch, classes=CLASSES, size=(9, 13)):
    return torch.randn(batch, classes, *size)


def training_oracle(neck, level, num_labeled, pseudo, use_memory, similarity="cosine"):
    """Output and memory after one training call."""
    ring = oracles.Ring(neck.memory)
    maps = interpolate(pseudo, size=level.shape[2:], mode="bilinear", align_corners=False).flatten(2)

    def reborn(tokens):
        labeled, unlabeled = tokens[:num_labeled], tokens[num_labeled:]
        for image, image_maps in zip(unlabeled, oracles.array(maps), strict=True):
            ring.write([image], [oracles.grouping(image, image_maps, similarity)])
        sources = ring.maps() if use_memory else unlabeled
        return [oracles.cross_attention(neck.labeled_attention, image, sources) for image in labeled] + [
            oracles.self_attention(neck.unlabeled_attention, image) for image in unlabeled
        ]

    return oracles.neck(neck, level, reborn), ring


@pytest.mark.parametrize("heads", [1, 2, 3])
@pytest.mark.parametrize(("labeled", "unlabeled"), [(2, 2), (1, 3), (3, 1)])
def test_training_equals_the_description(attention_path, heads, labeled, unlabeled):
    """Non-square maps, unequal halves, warm-up and memory, a ring that wraps around."""
    neck = make_neck(num_heads=heads)
    for use_memory in (False, True, True):
        level, pseudo = feats(labeled + unlabeled), logits(unlabeled)
        expected, ring = training_oracle(neck, level, labeled, pseudo, use_memory)
        (got,) = neck([level], num_labeled=labeled, pseudo_logits=pseudo, use_memory=use_memory)
        np.testing.assert_allclose(oracles.array(got), expected, atol=1e-5)
        np.testing.assert_allclose(oracles.array(neck.memory.queue), ring.slots, atol=1e-5)
        assert neck.memory.pointer.tolist() == ring.pointer
    if unlabeled == 3:
        assert max(ring.enqueued) > neck.memory.num_slots


@pytest.mark.parametrize("keys", ["image", "batch"])
def test_inference_equals_the_description_at_any_size(attention_path, keys):
    neck = make_neck(inference_keys=keys).eval()
    level = feats(2, size=(4, 2))

    def reborn(tokens):
        attend = neck.labeled_attention
        return [oracles.cross_attention(attend, one, tokens if keys == "batch" else [one]) for one in tokens]

    (got,) = neck([level])
    np.testing.assert_allclose(oracles.array(got), oracles.neck(neck, level, reborn), atol=1e-5)
    (overridden,) = neck([level], inference_keys="image")
    alone = torch.cat([neck([image[None]])[0] for image in level])
    torch.testing.assert_close(overridden, alone)


def test_without_memory_labeled_images_attend_to_the_unlabeled_of_the_step():
    neck = make_neck(memory=False, memory_size=None)
    level = feats(3)

    def reborn(tokens):
        return [oracles.cross_attention(neck.labeled_attention, tokens[0], tokens[1:])] + [
            oracles.self_attention(neck.unlabeled_attention, image) for image in tokens[1:]
        ]

    (got,) = neck([level], num_labeled=1)
    np.testing.assert_allclose(oracles.array(got), oracles.neck(neck, level, reborn), atol=1e-5)


def test_without_grouping_channels_enter_in_order_and_no_logits_are_needed():
    neck = make_neck(grouping=False)
    neck([feats(3)], num_labeled=1)
    assert neck.memory.enqueued.tolist() == [CHANNELS, CHANNELS, 0]


@pytest.mark.parametrize("option", [dict(similarity="instance_norm"), dict(grouping_map="softmax")])
def test_grouping_options_reach_the_grouping(option):
    # classes of very different size: what cosine ignores, the raw product and the softmax do not
    scale = torch.tensor([1.0, 5.0, 25.0])[:, None, None]
    level, pseudo, states = feats(4), scale * logits(2), []
    for options in ({}, option):
        torch.manual_seed(1)
        neck = make_neck(**options)
        neck([level], num_labeled=2, pseudo_logits=pseudo)
        states.append(neck.memory.queue)
    assert not torch.equal(*states)


def test_bfloat16_autocast_is_close_and_stores_float32(attention_path):
    """Steps of training and inference, to 2 % of the largest value, and gradients."""
    levels, pseudo = [feats(4, channels=16) for _ in range(3)], logits(2)
    results = []
    for enabled in (False, True):
        torch.manual_seed(1)
        neck = make_neck(in_channels=16)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            outputs = [neck([level], num_labeled=2, pseudo_logits=pseudo)[0] for level in levels]
            outputs.append(neck.eval()([levels[0]])[0])
        assert neck.memory.queue.dtype == torch.float32
        sum(output.float().sum() for output in outputs).backward()
        assert all(torch.isfinite(parameter.grad).all() for parameter in neck.parameters())
        results.append(outputs)
    for exact, half in zip(*results, strict=True):
        torch.testing.assert_close(half.float(), exact, rtol=0.0, atol=2e-2 * exact.abs().max().item())


def test_exact_and_plain_agree_in_outputs_and_all_gradients(attention_path):
    level, pseudo, grad_out = feats(4), logits(2), feats(4)
    results = []
    for implementation in ("exact", "plain"):
        torch.manual_seed(1)
        neck, leaf = make_neck(implementation=implementation), level.clone().requires_grad_()
        (out,) = neck([leaf], num_labeled=2, pseudo_logits=pseudo)
        out.backward(grad_out)
        results.append([out, leaf.grad, *(parameter.grad for parameter in neck.parameters())])
    for exact, plain in zip(*results, strict=True):
        torch.testing.assert_close(exact, plain, rtol=1e-4, atol=1e-5)


def test_grouping_and_memory_give_no_gradient_to_the_pseudo_logits():
    pseudo, level = logits(1).requires_grad_(), feats(2, requires_grad=True)
    make_neck()([level], num_labeled=1, pseudo_logits=pseudo)[0].square().sum().backward()
    assert pseudo.grad is None
    assert level.grad is not None


@pytest.mark.parametrize("in_index", [0, 1, -1])
def test_only_the_chosen_level_changes(in_index):
    levels = [feats(2), feats(2), feats(2)]
    out = MODELS.build(
        dict(type="AllSparkNeck", in_channels=CHANNELS, num_classes=CLASSES, memory_size=SIZE, in_index=in_index)
    )(levels)
    changed = [not torch.equal(before, after) for before, after in zip(levels, out, strict=True)]
    assert changed == [index == in_index % 3 for index in range(3)]
    assert all(before.shape == after.shape for before, after in zip(levels, out, strict=True))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (dict(num_labeled=2), "num_labeled=2 of 2 images"),
        (dict(num_labeled=-1), "num_labeled=-1 of 2 images"),
        (dict(), r"pseudo_logits must be .* \(1, 3\).*got None"),
        (dict(pseudo_logits=logits(2)), r"got \(2, 3, 9, 13\)"),
        (dict(pseudo_logits=logits(1, classes=4)), "num_classes must equal the decode head's"),
        (dict(level=feats(2, size=(3, 2))), r"3x2.*memory_size is 2x3.*neck.memory_size="),
        (dict(level=feats(2, channels=5)), "in_channels=6, but backbone level -1 has 5 channels"),
        (dict(num_labeled=None, inference_keys="all"), "inference_keys='all'"),
    ],
)
def test_bad_input_names_the_key(call, text):
    call = dict(num_labeled=1, level=feats(2)) | call
    with pytest.raises(ValueError, match=text):
        make_neck()([call.pop("level")], **call)


@pytest.mark.parametrize(
    ("option", "text"),
    [(dict(memory_size=None), "AllSparkNeck.memory_size is missing"), (dict(attn_drop=-0.1), "attn_drop")],
)
def test_bad_options_are_named(option, text):
    with pytest.raises(ValueError, match=text):
        make_neck(**option)


def test_a_further_pass_of_unlabeled_images_leaves_the_memory_alone():
    """Each attends to itself through the branch for unlabeled images, as in the joint pass."""
    neck, level = make_neck(), feats(3)
    pseudo = logits(2)
    before = {name: buffer.clone() for name, buffer in neck.memory.named_buffers()}
    (further,) = neck([level[1:]], num_labeled=0)
    assert all(torch.equal(buffer, before[name]) for name, buffer in neck.memory.named_buffers())
    (joint,) = neck([level], num_labeled=1, pseudo_logits=pseudo)
    torch.testing.assert_close(further, joint[1:])
