"""What AugSeg's draws are like in the long run, and what of labeled images gets into the unlabeled ones."""

import numpy as np
import pytest
import torch
from builders import CROP, Labeler, build_model, logits_of, semi_batch
from PIL import Image
from torch.nn.functional import cross_entropy

from mmseg_allspark.datasets.transforms import RandomIntensity
from mmseg_allspark.datasets.transforms.intensity import OPERATIONS
from mmseg_allspark.labels import AdaptiveCutMix, PseudoLabel
from mmseg_allspark.labels.adaptive_cutmix import draw_boxes
from mmseg_allspark.methods import Step
from mmseg_allspark.methods.augseg import image_confidence


def augseg(**changes):
    return build_model(**dict(type="AugSegSegmentor", neck=None) | changes)


def teacher(label=3):
    """Labels everything as one class, surely."""
    logits = torch.zeros(2, 4, CROP, CROP)
    logits[:, label] = 30.0
    return Step(labels_from="ema", labelers=(Labeler(logits),))


def test_padding_has_no_part_in_the_confidence():
    logits, valid = torch.zeros(1, 3, 8, 8), torch.zeros(1, 8, 8, dtype=torch.bool)
    logits[:, 0, :4], valid[:, :4] = 100.0, True
    pseudo = PseudoLabel(logits, logits.argmax(1), logits[:, 0], valid)
    torch.testing.assert_close(image_confidence(pseudo), torch.ones(1))


@pytest.mark.parametrize(("beta", "share", "high"), [((8.0, 2.0), 0.164, 0.349), ((4.0, 4.0), 0.362, 0.602)])
def test_shares_of_rectangles_are_the_releases(beta, share, high):
    """Mean and 95 % quantile at 513; the centre is never in the first eighth."""
    torch.manual_seed(0)
    boxes = np.array([draw_boxes(1, (513, 513), beta)[0] for _ in range(3000)])
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) / 513**2
    assert area.mean() == pytest.approx(share, abs=0.01) and np.quantile(area, 0.95) == pytest.approx(high, abs=0.02)
    assert boxes.min() >= 0 and boxes.max() <= 513
    assert (boxes[:, 2:] >= 64).all() and boxes[:, :2].max() < 513


@pytest.mark.parametrize(("confidence", "adaptive"), [(0.0, True), (1.0, True), (1.0, False)])
def test_a_labeled_patch_goes_into_images_that_are_not_sure(confidence, adaptive):
    own, labeled = torch.arange(4.0)[:, None, None].expand(4, 64, 64), torch.full((4, 64, 64), 9.0)
    mixing, seen = AdaptiveCutMix(adaptive=adaptive), set()
    for _ in range(20):
        mixed = mixing(dict(label=own), dict(label=labeled), torch.full((4,), confidence))["label"]
        seen |= set(mixed.unique().tolist())
        assert all((mixed[i] == i).any() for i in range(4))  # a rectangle never covers an image
    assert (9.0 in seen) == (confidence == 0.0 or not adaptive)


def test_one_image_exchanges_with_itself_and_may_show_its_labeled_patch():
    own, labeled = torch.zeros(1, 64, 64), torch.ones(1, 64, 64)
    mixed = [AdaptiveCutMix()(dict(a=own), dict(a=labeled), torch.zeros(1))["a"].mean() for _ in range(20)]
    assert 0 < max(mixed) < 0.7


def test_options_switch_parts_off():
    own, labeled = torch.zeros(2, 64, 64), torch.ones(2, 64, 64)
    for mixing in (AdaptiveCutMix(prob=0.0), AdaptiveCutMix(labeled_beta=None)):
        assert mixing(dict(a=own), dict(a=labeled), torch.zeros(2))["a"].sum() == 0


def test_loss_is_the_cross_entropy_of_the_mixed_labels():
    """Pasted pixels have the mask's label, those of 255 no loss; the mean is over all pixels."""
    model = augseg(cutmix=dict(adaptive=False)).eval()
    batch, seen, joint_pass = semi_batch(model), {}, model.joint_pass

    def joint(inputs, data_samples, images, pseudo, step):
        seen.update(images=images, pseudo=pseudo)
        return joint_pass(inputs, data_samples, images, pseudo, step)

    model.joint_pass = joint
    torch.manual_seed(1)
    losses = model(**batch | dict(step=teacher()), mode="loss")
    target, images = seen["pseudo"], seen["images"]
    from_mask = (images[:, None] == batch["inputs"]["labeled"][None]).all(2)  # (unlabeled, labeled, H, W)
    masks = torch.cat([sample.gt_sem_seg.data for sample in batch["data_samples"]["labeled"]])
    expected = torch.where(from_mask, masks, 0).sum(1) + 3 * ~from_mask.any(1)
    assert 0.02 < from_mask.any(1).float().mean() < 0.7
    logits = logits_of(model, torch.cat([batch["inputs"]["labeled"], images]))[2:]
    loss = cross_entropy(logits, expected, ignore_index=255, reduction="none").mean()
    torch.testing.assert_close(losses["unsup.decode.loss_ce"], loss)
    assert torch.equal(target.weight == 0, expected == 255)


def test_number_and_kind_of_operations_are_equally_likely():
    np.random.seed(0)
    transform = RandomIntensity()
    draws = [transform._draw_steps() for _ in range(3000)]
    counts = np.bincount([len(steps) for steps in draws], minlength=4)
    assert counts[0] == 0 and len(counts) == 4 and (abs(counts[1:] - 1000) < 120).all()
    names = [name for steps in draws for name, _ in steps]
    assert all(abs(names.count(name) - 6000 / 11) < 100 for name in OPERATIONS)
    assert any(len(steps) > len(dict(steps)) for steps in draws)  # with replacement
    hues = [strength for steps in draws for name, strength in steps if name == "hue"]
    assert -1 < min(hues) < -0.9 and 0.9 < max(hues) < 1


def test_brightness_never_rises():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for strength in np.linspace(0, 1, 20, endpoint=False):
        changed = OPERATIONS["brightness"](Image.fromarray(image), float(strength))
        assert (np.asarray(changed) <= image).all()
