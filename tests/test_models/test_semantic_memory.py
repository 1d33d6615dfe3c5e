"""Grouping and the ring, against loops over classes and channels."""

import pytest
import torch
from builders import backbone_config
from hypothesis import given, settings
from hypothesis import strategies as st
from mmseg.registry import MODELS
from torch.nn.functional import interpolate

from mmseg_allspark.models import SemanticMemory, feature_size, group_channels
from mmseg_allspark.models.semantic_memory import resize_by_points

from . import oracles


@pytest.mark.parametrize("crop", [(224, 225), (256, 257), (321, 512), (513, 801)])
def test_feature_size_is_that_of_the_deepest_map(crop):
    backbone = MODELS.build(backbone_config(embed_dims=2, num_heads=[1] * 4)).eval()
    with torch.no_grad():
        assert feature_size(crop) == backbone(torch.zeros(1, 3, *crop))[-1].shape[2:]


@pytest.mark.parametrize("similarity", ["cosine", "instance_norm"])
@pytest.mark.parametrize("grouping_map", ["logits", "softmax"])
def test_grouping_equals_the_loop(similarity, grouping_map):
    size, (batch, classes, channels) = (3, 4), (2, 5, 11)
    tokens, logits = torch.randn(batch, 12, channels), 3 * torch.randn(batch, classes, 17, 23)
    options = dict(similarity=similarity, grouping_map=grouping_map)
    got = group_channels(tokens, logits, size=size, **options)
    expected = []
    for image in range(batch):
        # softmax is taken at full resolution, before the resize
        maps = logits.softmax(dim=1) if grouping_map == "softmax" else logits
        maps = interpolate(maps, size=size, mode="bilinear", align_corners=False)[image].flatten(1)
        expected.append(oracles.grouping(oracles.array(tokens[image]), oracles.array(maps), similarity))
    assert got.dtype == torch.int64
    assert got.tolist() == expected


@pytest.mark.parametrize("old", [(513, 513), (17, 23), (3, 4), (1, 5)])
@pytest.mark.parametrize("new", [(17, 17), (3, 4), (5, 1)])
def test_resize_by_points_is_bilinear_interpolation(old, new):
    maps = torch.randn(2, 3, *old)
    expected = interpolate(maps, size=new, mode="bilinear", align_corners=False)
    torch.testing.assert_close(resize_by_points(maps, new), expected, rtol=1e-4, atol=1e-4)


def test_ties_go_to_the_lower_class():
    logits = torch.randn(1, 1, 2, 2).expand(1, 3, 2, 2)
    assert group_channels(torch.randn(1, 4, 6), logits, size=(2, 2)).unique().tolist() == [0]


@settings(max_examples=40, deadline=None)
@given(
    num_classes=st.integers(1, 4),
    num_slots=st.integers(1, 6),
    steps=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9)), min_size=1, max_size=5),
    seed=st.integers(0, 999),
)
def test_ring_equals_the_loop(num_classes, num_slots, steps, seed):
    """Wrap-around, more channels than slots and several images all occur among these shapes."""
    torch.manual_seed(seed)
    memory = SemanticMemory(num_classes, num_slots, (2, 3))
    ring = oracles.Ring(memory)
    for batch, channels in steps:
        tokens, classes = torch.randn(batch, 6, channels), torch.randint(num_classes, (batch, channels))
        memory.write(tokens, classes)
        ring.write(oracles.array(tokens), classes.tolist())
        assert oracles.array(memory.queue).tolist() == ring.slots.tolist()
        assert memory.pointer.tolist() == ring.pointer
        assert memory.enqueued.tolist() == ring.enqueued
        expected_fill = [min(1.0, written / num_slots) for written in ring.enqueued]
        assert memory.fill_level().tolist() == pytest.approx(expected_fill)


@settings(max_examples=30, deadline=None)
@given(
    num_classes=st.integers(1, 3),
    num_slots=st.integers(1, 4),
    steps=st.lists(st.tuples(st.integers(1, 2), st.integers(1, 15)), min_size=1, max_size=4),
)
def test_without_classes_it_is_one_ring(num_classes, num_slots, steps):
    memory = SemanticMemory(num_classes, num_slots, (1, 2))
    rows, position = memory.queue.clone().flatten(0, 1), 0
    for batch, channels in steps:
        tokens = torch.randn(batch, 2, channels)
        memory.write(tokens, None)
        for image in tokens:
            for channel in image.T:
                rows[position % len(rows)] = channel
                position += 1
        assert torch.equal(memory.queue.flatten(0, 1), rows)
        assert memory.enqueued.sum() == position
        assert memory.fill_level().mean().item() == pytest.approx(min(1.0, position / len(rows)))


def test_tokens_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"4 tokens \(memory_size=\(2, 2\)\), got.*6 tokens"):
        SemanticMemory(2, 4, (2, 2)).write(torch.randn(1, 6, 3), torch.zeros(1, 3, dtype=torch.int64))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (dict(num_classes=0), ValueError, "num_classes"),
        (dict(size=(3, 0)), ValueError, "memory_size"),
        (dict(sync="all"), ValueError, "sync='all'.*'rank0', 'gather', 'local'"),
    ],
)
def test_bad_arguments_are_named(arguments, error, text):
    with pytest.raises(error, match=text):
        SemanticMemory(**(dict(num_classes=2, num_slots=4, size=(2, 2)) | arguments))


def test_rows_of_another_crop_are_resized_when_loaded():
    """A row that rises from left to right does so at every size; the other way round would show a mistaken order."""
    old, new = SemanticMemory(2, 3, (4, 4)), SemanticMemory(2, 3, (8, 6))
    old.queue.copy_(torch.arange(4.0).repeat(4).expand(2, 3, 16))
    old.pointer[1] = old.enqueued[1] = 2
    new.load_state_dict(old.state_dict())
    maps = new.queue.unflatten(2, (8, 6))
    assert (maps.diff(dim=3) >= 0).all()
    torch.testing.assert_close(maps.diff(dim=2), torch.zeros(2, 3, 7, 6))
    assert maps[..., 0].max() < 0.5 < 2.5 < maps[..., -1].min()
    assert new.pointer.tolist() == new.enqueued.tolist() == [0, 2]


@pytest.mark.parametrize("changed", [dict(num_classes=3), dict(num_slots=4), dict(size=(2, 3))])
def test_rows_that_cannot_be_resized_are_refused(changed):
    """2x3 tokens may have been 3x2."""
    old = SemanticMemory(**dict(num_classes=2, num_slots=3, size=(4, 4)) | changed)
    with pytest.raises(RuntimeError, match="size mismatch for queue"):
        SemanticMemory(2, 3, (4, 4)).load_state_dict(old.state_dict())
