"""ESL's soft labels at their limits, how pixels find their parts, and what its queues and prototypes remember."""

import torch
from builders import CROP, build_model, semi_batch
from torch.nn.functional import cosine_similarity

from mmseg_allspark.methods import Step
from mmseg_allspark.models import PartMemory, draw_per_class, dynamic_soft_label
from mmseg_allspark.utils.training_only import training_only_names

SMALL = dict(channels=8, parts=2, queue=8, negatives=16)


def esl(**changes):
    options = dict(type="ESLSegmentor", neck=None, mask_padding=False, projection_channels=8, contrast=SMALL)
    return build_model(**options | changes)


def memory(**changes):
    torch.manual_seed(0)
    return PartMemory(**dict(num_classes=3, in_channels=6, channels=4, parts=2, queue=5, negatives=7) | changes)


def test_limits_of_the_mass_and_ties():
    logits = torch.randn(2, 5, 4, 4)
    torch.testing.assert_close(dynamic_soft_label(logits, 1.0), logits.softmax(1))
    assert torch.equal(dynamic_soft_label(logits, 0.0).argmax(1), logits.argmax(1))
    assert (dynamic_soft_label(logits, 0.0).amax(1) == 1).all()
    torch.testing.assert_close(dynamic_soft_label(torch.zeros(1, 2, 1, 1), 0.4).flatten(), torch.tensor([0.5, 0.5]))


def test_drawn_pixels_are_of_their_class_and_none_is_drawn_twice_before_all_are():
    classes = torch.tensor([2] * 40 + [0] * 3 + [4] * 20)  # 4: of no class
    index, count = draw_per_class(classes, 4, 6)
    assert count.tolist() == [3, 0, 40, 0] and index.shape == (4, 6)
    assert (classes[index[2]] == 2).all() and len(set(index[2].tolist())) == 6
    assert sorted(index[0].tolist()) == [40, 40, 41, 41, 42, 42]


def test_a_pixel_belongs_to_the_nearest_prototype_of_its_class():
    parts, features = memory(), torch.randn(2, 6, 4, 4)
    classes = torch.randint(0, 4, (2, 4, 4))  # 3: none
    parts.prototypes.normal_()
    parts.known[:2] = True
    got = parts.assign(features, classes)
    near = cosine_similarity(features[:, None, None], parts.prototypes[None, ..., None, None], dim=3)  # (B, K, 2, h, w)
    for c in range(4):
        expected = near[:, c].argmax(1) + 2 * c if c < 2 else torch.full((2, 4, 4), 6)
        assert torch.equal(got[classes == c], expected[classes == c])


def test_prototypes_start_as_labeled_pixels_and_follow_their_own_part_only():
    parts, features = memory(momentum=0.75), torch.randn(1, 6, 4, 4)
    classes = torch.full((1, 4, 4), 3)
    classes[:, :2] = 1
    parts.start(features, classes)
    assert parts.known.tolist() == [False, True, False]
    rows = features[0, :, :2].flatten(1).T
    assert all((rows == prototype).all(1).any() for prototype in parts.prototypes[1])
    before = parts.prototypes.clone()
    parts.start(torch.randn(1, 6, 4, 4), classes)  # known already
    assert torch.equal(parts.prototypes, before)
    part = torch.where(classes == 1, 2, 6)  # the first part of class 1
    parts.follow(features, part)
    torch.testing.assert_close(parts.prototypes[1, 0], 0.75 * before[1, 0] + 0.25 * rows.mean(0))
    before[1, 0] = parts.prototypes[1, 0]
    assert torch.equal(parts.prototypes, before)


def test_queues_hold_the_mean_of_every_part_of_every_image_first_in_first_out():
    parts, projected = memory(), torch.randn(2, 4, 3, 3)
    part = torch.full((2, 3, 3), 6)
    part[0, 0], part[1, 1:] = 4, 4
    for _ in range(3):  # six features, five slots
        parts.enqueue(projected, part)
    assert parts.queue.enqueued[:-1].tolist() == [0, 0, 0, 0, 6, 0]
    first, second = projected[0, :, 0].mean(1), projected[1, :, 1:].flatten(1).mean(1)
    torch.testing.assert_close(parts.queue.queue[4], torch.stack([second, second, first, second, first]))


def test_a_pixel_is_drawn_to_its_own_part_and_from_all_others():
    parts = memory()
    for number, rows in ((1, 2), (2, 4), (5, 9)):
        parts.queue.write(torch.full((rows, 4), float(number)), torch.full((rows,), number))
    positive, negatives, ready = parts.draw(torch.tensor([1, 2, 5, 0] * 20))
    assert ready.tolist() == [True, True, True, False] * 20
    for index, number in enumerate((1, 2, 5)):
        assert (positive[index::4] == number).all()
        assert set(negatives[index::4].unique().tolist()) == {1.0, 2.0, 5.0} - {number}


def test_nothing_is_compared_before_two_parts_are_known():
    parts, projected = memory(), torch.randn(1, 4, 3, 3, requires_grad=True)
    part = torch.full((1, 3, 3), 2)
    for _ in range(2):
        loss = parts.loss(projected, part)
        (gradient,) = torch.autograd.grad(loss, projected)
        assert loss == 0 and torch.isfinite(gradient).all()
        parts.enqueue(projected, part)
    parts.enqueue(projected, part + 1)
    assert parts.loss(projected, part) > 0


def test_a_step_fills_queues_for_training_alone():
    model = esl()
    losses = model(**semi_batch(model) | dict(step=Step(labels_from="ema", labelers=(esl(seed=1),))), mode="loss")
    assert losses["unsup.contrast.loss_parts"] > 0 and model.memory.known.all()
    assert losses["unsup.contrast_queue"] == model.memory.queue.fill_level()[:-1].mean() > 0
    added = {name for name in model.state_dict() if name.startswith(("memory.", "projector."))}
    assert added == training_only_names(model) and losses["unsup.label_classes"] >= 1


def test_anchors_of_unlabeled_images_are_sure_and_not_padding():
    model = esl()
    pseudo = model.label(*semi_batch(model, labels_from="ema").values())
    pseudo.extras["part"][:, :20] = model.memory.num_parts  # as where the image is padded
    for conf, low in ((1.0, model.memory.num_parts), (0.0, 0)):
        model.anchor_conf = conf
        part = model._anchors(pseudo, (CROP, CROP))
        assert part.min() >= low and (part[:, :20] == model.memory.num_parts).all()
    assert (part[:, 20:] == pseudo.extras["part"][:, 20:]).all()
