"""DGCL's shares of pixels, its densities, what its contrast does when, and the memory that all ranks have in common."""

import math

import pytest
import torch
from builders import CROP, build_model, semi_batch
from two_ranks import run_ranks

from mmseg_allspark.labels import PseudoLabel
from mmseg_allspark.methods import Step
from mmseg_allspark.models import DensityMemory, TeacherAverage

SMALL = dict(rows=16, rows_per_step=32, density_rows=8, neighbours=(2, 4), anchors=8, positives=4, max_pixels=40)


def dgcl(**changes):
    options = dict(type="DGCLSegmentor", neck=None, mask_padding=False, projection_channels=8, contrast=SMALL)
    return build_model(**options | changes)


def memory(num_classes=3, **changes):
    torch.manual_seed(0)
    return DensityMemory(num_classes, 4, 3, **SMALL | dict(skip_classes=()) | changes)


def fill(densities, index, row, number=16):
    densities.queue.write(torch.tensor(row).expand(number, 8), torch.full((number,), index))


def filled(full=(0, 1, 2), **changes):
    """A memory of equal rows; those that are not full lack one."""
    densities = memory(**changes)
    for index in range(3):
        fill(densities, index, [1.0, 0, 0, 0, 0, 0, 1, 1], 16 if index in full else 15)
    return densities


def maps(vectors):
    """(1, D, 1, N) of N vectors."""
    return torch.tensor(vectors).T[None, :, None]


def test_sparse_pixels_get_the_gradient_and_dense_ones_make_the_center():
    densities = filled(anchors=3, positives=2, skip_classes=(0,))
    features = maps([[1.0, x, 0, 0] for x in torch.linspace(0, 3, 12)])  # less and less dense
    classes = torch.tensor([1] * 8 + [0] * 2 + [3] * 2)[None, None]  # 3: of no class
    projected = torch.randn(1, 3, 1, 12, requires_grad=True)
    densities.loss(features.requires_grad_(), projected, classes).backward()
    gradient = projected.grad[0, :, 0]
    assert features.grad is None and gradient.norm(dim=0).gt(0).tolist() == [False] * 5 + [True] * 3 + [False] * 4
    torch.testing.assert_close((gradient * projected[0, :, 0]).sum(0), torch.zeros(12), atol=1e-6, rtol=0)
    rows = projected.detach()[0, :, 0].T
    *_, center, has_pixels = densities._find_dense_and_sparse(features.detach()[0, :, 0].T, rows, classes.flatten())
    torch.testing.assert_close(center[1], (rows[0] + rows[1] + torch.tensor([0.0, 0, 2])) / 4)
    assert has_pixels.tolist() == [True, True, False]


STARTS = [
    ("all_full", (0, 1, 2), (1, 2), 0),
    ("all_full", (1, 2), (1, 2), 1),  # labeled images never show class 0
    ("all_full", (0, 1, 2), (0, 1, 2), 1),
    ("all_full", (), (), 0),
    ("class_full", (0, 1, 2), (1,), 1),
    ("class_full", (0, 1, 2), (0,), 0),
]


@pytest.mark.parametrize(("start_when", "shown", "full", "starts"), STARTS)
def test_the_contrast_starts_with_full_memories(start_when, shown, full, starts):
    densities = filled(full, start_when=start_when)
    densities.shown[list(shown)] = True
    projected, classes = torch.randn(1, 3, 1, 6, requires_grad=True), 1 + torch.arange(6)[None, None] // 2
    loss = densities.loss(torch.randn(1, 4, 1, 6), projected, classes)
    loss.backward()
    assert (loss > 0) == starts and projected.grad.isfinite().all() and projected.grad.any() == starts


def test_a_skipped_class_is_a_negative_and_has_no_anchor():
    densities = filled(skip_classes=(0,))
    features, projected, classes = torch.randn(1, 4, 1, 6), torch.randn(1, 3, 1, 6), torch.arange(6)[None, None] // 3
    assert densities.loss(features, projected, classes) > 0
    assert densities.loss(features, projected, torch.where(classes == 1, 3, 0)) == 0


def test_new_rows_have_their_density_in_the_memory_before():
    densities = memory(2)
    fill(densities, 1, [1.0, 0, 0, 0, 0, 0, 1, 0.5], 9)
    features, projected = maps([[1.0, 0, 0, 0], [0.0, 1, 0, 0]]), torch.zeros(1, 3, 1, 2)
    densities.enqueue(features, projected, torch.tensor([1, 1])[None, None])
    assert densities.queue.queue[1, :11, -1].tolist() == [0.5] * 9 + [0, 1]  # the first pixel is written last
    assert densities.shown.tolist() == [False, True]
    densities.enqueue(features, projected, torch.tensor([0, 2])[None, None], num_labeled=0)
    assert densities.filled.tolist() == [1, 11] and densities.queue.queue[0, 0, -1] == 0
    assert densities.shown.tolist() == [False, True]  # labeled images have not shown it


@pytest.mark.parametrize(("progress", "learned", "compared"), [(0.0, 0.8, 0.2), (0.5, 0.9, 0.6), (1.0, 1.0, 0.9)])
def test_shares_of_pixels_follow_the_progress(progress, learned, compared):
    model = dgcl()
    batch = semi_batch(model, iteration=int(10 * progress), max_iters=10, labels_from="ema")
    pseudo, classes = model.label(*batch.values()), batch["step"].record["contrast_classes"]
    assert pseudo.weight.mean().item() == pytest.approx(learned, abs=1e-3)
    assert (classes[2:] < 4).float().mean().item() == pytest.approx(compared, abs=5e-3)


def test_a_threshold_leaves_the_share_of_sure_pixels_as_it_is():
    """Else the loss would grow without limit where fewer and fewer pixels are above it."""
    sure = torch.zeros(1, 10, 10, dtype=torch.bool)
    sure[:, :8] = True
    weight = torch.zeros(1, 10, 10)
    weight[0, 0, 0] = 1.0
    pseudo = PseudoLabel(torch.randn(1, 4, 10, 10), torch.zeros_like(sure).long(), weight, extras=dict(sure=sure))
    loss = dgcl().learned_loss(torch.zeros(1, 4, 10, 10), pseudo, sure)
    assert loss.item() == pytest.approx(math.log(4) / 80 / 0.8)  # of one pixel of 80


def test_padding_is_neither_learned_nor_compared():
    model = dgcl(mask_padding=True)
    batch = semi_batch(model, valid=torch.arange(CROP)[:, None] < 33, labels_from="ema", iteration=9, max_iters=10)
    pseudo = model.label(*batch.values())
    assert not pseudo.weight[:, 33:].any() and (batch["step"].record["contrast_classes"][2:, 9:] == 4).all()


def test_a_step_sees_labeled_weak_and_mixed_images_and_a_teacher_moves_by_its_own_passes():
    model = dgcl(contrast=SMALL | dict(start_when="class_full", skip_classes=()))
    teacher = TeacherAverage(model, momentum=0.1, buffers="own").module
    assert teacher.memory is model.memory
    seen, norm = [], teacher.decode_head.fusion_conv.bn
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    before, batch = norm.running_mean.clone(), semi_batch(model)
    losses = model(**batch | dict(step=Step(labels_from="ema", labelers=(teacher.eval(),))), mode="loss")
    assert [len(images) for images in seen] == [6] and torch.equal(seen[0][2:4], batch["inputs"]["weak"])
    assert not torch.equal(norm.running_mean, before) and losses["unsup.contrast_memory"] > 0


def enqueue_on_a_rank(rank, folder):
    densities, classes = memory(rows=16, rows_per_step=4), torch.full((1, 1, 9), 3)
    classes[..., : 1 + 2 * rank] = 2  # one pixel of rank 0; three of rank 1, of which two are taken
    classes[..., -1] = 3 - 2 * rank  # rank 1 alone shows class 1
    densities.enqueue(torch.full((1, 4, 1, 9), rank + 1.0), torch.zeros(1, 3, 1, 9), classes)
    torch.save(densities.state_dict(), folder / f"{rank}.pth")


@pytest.mark.slow
def test_two_ranks_have_the_rows_of_both(tmp_path):
    run_ranks(enqueue_on_a_rank, tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pth") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert first["queue.enqueued"][:-1].tolist() == [0, 1, 3] and first["queue.queue"][2, :3, 0].tolist() == [1, 2, 2]
    assert first["shown"].tolist() == [False, True, True]
