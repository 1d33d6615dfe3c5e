"""U2PL's schedules, what its contrast compares with what, and the memory that all ranks have in common."""

import math

import pytest
import torch
from builders import build_model, semi_batch
from two_ranks import run_ranks

from mmseg_allspark.methods import Step
from mmseg_allspark.models import NegativeMemory, TeacherAverage

SMALL = dict(channels=8, rows=64, rows_per_step=16, anchors=8, negatives=4, anchor_threshold=0.1)


def u2pl(**changes):
    return build_model(**dict(type="U2PLSegmentor", neck=None, mask_padding=False, contrast=SMALL) | changes)


def memory(**changes):
    torch.manual_seed(0)
    return NegativeMemory(**dict(num_classes=5, channels=3, rows=6, anchors=7, negatives=50) | changes)


def fill(negatives, rows):
    """One row of each class to all of its slots."""
    for index, row in rows.items():
        negatives.queue.write(torch.tensor(row).expand(6, 3), torch.full((6,), index))


def pixels(classes, vectors):
    """Features (1, D, 1, N), probabilities that are sure of the classes, and the classes (1, 1, N)."""
    classes = torch.tensor(classes)
    prob = torch.nn.functional.one_hot(classes.clamp(max=4), 5).float()
    return torch.tensor(vectors).T[None, :, None], prob.T[None, :, None], classes[None, None]


@pytest.mark.parametrize(("progress", "learned", "reliable"), [(0.0, 0.8, 0.2), (0.5, 0.9, 0.1), (1.0, 1.0, 0.0)])
def test_shares_of_learned_and_of_reliable_pixels_follow_the_progress(progress, learned, reliable):
    entropy, valid = torch.rand(2, 50, 20), torch.ones(2, 50, 20, dtype=torch.bool)
    valid[:, 40:] = False
    found = u2pl().find_reliable(entropy, valid, Step(iteration=int(10 * progress), max_iters=10))
    shares = [mask[valid].float().mean().item() for mask in found]
    assert shares == pytest.approx([learned, reliable, reliable], abs=2 / 1600)
    assert not any(mask[~valid].any() for mask in found)
    assert entropy[found.low].max() < entropy[found.high].min()


def test_a_threshold_leaves_the_share_as_it_is():
    """Else the loss would grow without limit where fewer and fewer pixels are above it."""
    model = u2pl(confidence=dict(type="ConfidenceThreshold", threshold=0.99))
    logits, learned = torch.zeros(2, 4, 10, 10), torch.zeros(2, 10, 10, dtype=torch.bool)
    learned[:, :8], logits[0, 0, 0, 0] = True, 9.0
    loss = model.learned_loss(torch.zeros(2, 4, 10, 10), model.make_pseudo_label(logits), learned)
    assert loss.item() == pytest.approx(math.log(4) / 160 / 0.8)  # of one pixel of 160
    assert model.learned_loss(torch.zeros(2, 4, 10, 10), model.make_pseudo_label(logits), learned & False) == 0


def test_a_class_is_compared_with_its_own_mean_and_memory_where_others_are_absent():
    """The release takes the first classes' means for those that are present."""
    negatives = memory()
    fill(negatives, {1: [0.0, 0, 1], 4: [0.0, 0, 1]} | {index: [1.0, 1, 0] for index in (0, 2, 3)})
    features, prob, classes = pixels([1, 4, 5], [[1.0, 0, 0], [0.0, 1, 0], [1.0, 1, 1]])
    loss = negatives.loss(features, features, prob, classes, classes < 5)
    assert loss.item() == pytest.approx(2.0499, abs=1e-4)


def test_gradients_reach_the_anchors_alone_and_turn_them():
    negatives = memory()
    fill(negatives, {1: [0.2, 0.1, 1], 4: [0.5, 0.0, 1]})
    features, prob, classes = pixels([1, 1, 4, 4, 5], torch.randn(5, 3).tolist())
    prob[..., 1] = 0.2  # not sure enough
    projected, teacher = (x.clone().requires_grad_() for x in (features, features + 1))
    negatives.loss(projected, teacher, prob, classes, classes < 5).backward()
    gradient = projected.grad[0, :, 0]
    assert teacher.grad is None and gradient.norm(dim=0).gt(0).tolist() == [True, False, True, True, False]
    torch.testing.assert_close((gradient * features[0, :, 0]).sum(0), torch.zeros(5), atol=1e-6, rtol=0)


def test_one_class_no_negatives_or_no_anchors_give_zero_and_no_nan():
    features, prob, classes = pixels([1, 4], [[1.0, 0, 0], [0.0, 1, 0]])
    filled = memory()
    fill(filled, {1: [0.2, 0.1, 1], 4: [0.5, 0.0, 1]})
    all_of_them = classes < 5
    cases = ((filled, prob, classes == 1), (memory(), prob, all_of_them), (filled, 0 * prob, all_of_them))
    for negatives, sure, reliable in cases:
        projected = features.clone().requires_grad_()
        loss = negatives.loss(projected, features, sure, classes, reliable)
        loss.backward()
        assert loss == 0 and (projected.grad == 0).all()


def test_negatives_are_unreliable_pixels_of_which_the_class_is_unlikely():
    prob = torch.tensor([0.4, 0.3, 0.2, 0.07, 0.03])[None, :, None, None].expand(2, 5, 1, 1)
    classes, high = torch.tensor([2, 0])[:, None, None], torch.ones(2, 1, 1, dtype=torch.bool)
    found = memory(high_rank=4).find_negatives(prob, classes, high, 1).T.tolist()
    # labeled: the likely classes but its own; unlabeled: the fourth likely, the fifth is too unlikely
    assert found == [[True, True, False, False, False], [False, False, False, True, False]]
    assert not memory(candidates="released").find_negatives(prob, classes, high, 1).any()
    assert not memory().find_negatives(prob, classes, ~high, 1).any()
    with pytest.raises(ValueError, match=r"low_rank=3 with 3 classes.*contrast=dict\(low_rank=1\)"):
        memory(num_classes=3)


def test_the_memory_keeps_the_latest_rows_and_takes_few_of_a_step():
    negatives, found = memory(rows_per_step=4), torch.zeros(5, 9, dtype=torch.bool)
    features = torch.arange(9.0).expand(1, 3, 9)[:, :, None]
    found[1, :3], found[3] = True, True
    for _ in range(2):
        negatives.enqueue(features, found)
    assert negatives.queue.enqueued[:-1].tolist() == [0, 6, 0, 8, 0]
    assert negatives.queue.queue[1, :, 0].tolist() == [0, 1, 2, 0, 1, 2]
    latest = negatives.queue.queue[3, [4, 5, 0, 1], 0]  # the second step's, in the order of the pixels
    assert (latest.diff() > 0).all()


def test_a_teacher_follows_by_its_own_passes_and_has_its_students_memory():
    model = u2pl()
    teacher = TeacherAverage(model, momentum=0.1, buffers="own").module
    assert teacher.memory is model.memory and teacher.projector is not model.projector
    norm = teacher.projector.hidden[0].bn
    before, batch = norm.running_mean.clone(), semi_batch(model)
    losses = model(**batch | dict(step=Step(labels_from="ema", labelers=(teacher.eval(),))), mode="loss")
    assert not torch.equal(norm.running_mean, before)
    assert losses["unsup.contrast_memory"] > 0 and 0.7 < losses["unsup.learned_share"] < 0.9


def enqueue_on_a_rank(rank, folder):
    negatives = memory(rows=4, rows_per_step=2)
    found = torch.zeros(5, 9, dtype=torch.bool)
    found[2, : 1 + rank] = True  # one row of rank 0, two of rank 1
    negatives.enqueue(torch.full((1, 3, 1, 9), float(rank)) + torch.arange(9) / 10, found)
    torch.save(negatives.state_dict(), folder / f"{rank}.pth")


@pytest.mark.slow
def test_two_ranks_have_the_rows_of_both_in_rank_order(tmp_path):
    run_ranks(enqueue_on_a_rank, tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pth") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    torch.testing.assert_close(first["queue.queue"][2, :3, 0], torch.tensor([0.0, 1.0, 1.1]))
    assert first["queue.enqueued"][:-1].tolist() == [0, 0, 3, 0, 0]
