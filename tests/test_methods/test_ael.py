"""What AEL's draws favour, which pixels they take, and how its bank lives through a training."""

import cv2
import numpy as np
import pytest
import torch
from builders import CROP, Labeler, build_model, semi_batch

from mmseg_allspark.labels import ClassConfidenceBank, ClassCopyPaste, ClassCutMix
from mmseg_allspark.labels.class_confidence import draw_classes, sampling_rates
from mmseg_allspark.labels.components import component_sizes, connected_components
from mmseg_allspark.methods import Step


def ael(**changes):
    return build_model(**dict(type="AELSegmentor", neck=None) | changes)


def teacher(label=3, confidence=30.0):
    logits = torch.zeros(2, 4, CROP, CROP)
    logits[:, label] = confidence
    return Step(labels_from="ema", labelers=(Labeler(logits),))


def spiral(size=61):
    mask = np.zeros((size, size), bool)
    for inset in range(0, size // 2 - 2, 2):
        low, high = inset, size - 1 - inset
        mask[low, low : high + 1] = mask[low : high + 1, high] = mask[high, low : high + 1] = True
        mask[low + 2 : high + 1, low] = True
        mask[low + 2, low : low + 3] = True
    return mask


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("share", [None, 0.25, 0.407, 0.6, 1.0])
def test_components_are_those_of_opencv(share, turns):
    rng = np.random.default_rng(turns)
    mask = np.rot90(spiral() if share is None else rng.random((53, 61)) < share, turns).copy()
    label = connected_components(torch.from_numpy(mask)[None])
    _, expected, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    pairs = np.unique(np.stack([label[0].numpy().ravel(), expected.ravel()]), axis=1)
    assert (label[0].numpy() > 0).tolist() == mask.tolist()
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    sizes = component_sizes(label)[0].numpy()
    assert all(sizes[ours] == stats[theirs, cv2.CC_STAT_AREA] for ours, theirs in pairs.T if ours > 0)


def test_classes_are_drawn_as_their_softmax_says():
    torch.manual_seed(0)
    logits = torch.tensor([0.0, 1.0, -torch.inf, 2.0])
    shares = torch.bincount(draw_classes(logits, 20_000), minlength=4) / 20_000
    torch.testing.assert_close(shares, logits.softmax(0), atol=0.01, rtol=0.0)


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_unsure_classes_are_preferred_and_equal_ones_are_not(power):
    paste = ClassCopyPaste(4, exclude=(1,), power=power)
    prob = paste.preferences(torch.tensor([0.9, 0.0, 0.1, 0.5])).softmax(0)
    assert prob[2] > prob[3] > prob[0] > prob[1] == 0
    torch.testing.assert_close(paste.preferences(torch.full((4,), 0.3)).softmax(0)[[0, 2, 3]], torch.full((3,), 1 / 3))


def test_rates_are_1_for_the_least_confident_class_and_0_for_a_sure_one():
    rates = sampling_rates(torch.tensor([1.0, 0.4, 0.7]), power=2.0)
    torch.testing.assert_close(rates, torch.tensor([0.0, 1.0, 0.25]))
    assert torch.equal(sampling_rates(torch.ones(3)), torch.zeros(3))  # and no NaN
    assert torch.equal(sampling_rates(torch.rand(3), power=0.0), torch.ones(3))


@pytest.mark.parametrize(("absent", "after"), [("keep", 0.5), ("decay", 0.25)])
def test_a_class_that_never_occurs_keeps_or_loses_its_confidence(absent, after):
    bank = ClassConfidenceBank(3, momentum=0.5, absent=absent)
    bank.confidence.fill_(0.5)
    bank.update(torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64))
    torch.testing.assert_close(bank.confidence, torch.tensor([(0.5 + 1 / 3) / 2, after, after]))
    bank.update(torch.zeros(1, 3, 4, 4), torch.full((1, 4, 4), 255))  # nor does any other
    assert bank.confidence.isfinite().all() and (bank.confidence[1] == after) == (absent == "keep")


def test_a_mean_per_image_counts_images_alike():
    logits, labels = torch.zeros(2, 2, 1, 4), torch.tensor([[[0, 0, 0, 0]], [[0, 1, 1, 1]]])
    logits[0, 0] = 100.0  # sure of class 0 in the first image, a guess in the second
    for per, expected in (("batch", (4 + 0.5) / 5), ("image", (1 + 0.5) / 2)):
        bank = ClassConfidenceBank(2, momentum=0.0, per=per)
        bank.update(logits, labels)
        torch.testing.assert_close(bank.confidence, torch.tensor([expected, 0.5]))


def test_mixed_images_show_an_object_of_the_least_confident_class():
    """The second image has it; the first receives its bounding box, and itself lends to the second."""
    label = torch.zeros(2, 40, 40, dtype=torch.int64)
    label[1, 5:15, 20:32] = 2
    images = torch.stack([torch.zeros(40, 40), torch.ones(40, 40)])
    mixed = ClassCutMix()(dict(image=images, label=label), label, torch.tensor([-99.0, -99.0, -999.0]))
    box = torch.zeros(40, 40)
    box[5:15, 20:32] = 1
    assert torch.equal(mixed["image"][0], box) and torch.equal(mixed["label"][0], 2 * box.long())
    assert 0.4 < (mixed["image"][1] == 0).float().mean() < 0.6  # the first does not show it


def test_labeled_images_receive_classes_with_their_labels_and_the_batch_stays():
    model = ael(copy_paste=dict(prob=1.0, classes=1, exclude=(0, 1, 2)))
    batch = semi_batch(model)
    before = [sample.gt_sem_seg.data.clone() for sample in batch["data_samples"]["labeled"]]
    inputs, samples = model.mix_labeled(batch["inputs"], batch["data_samples"], Step())
    for image in range(2):
        takes = before[1 - image][0] == 3
        expected = torch.where(takes, batch["inputs"]["labeled"][1 - image], batch["inputs"]["labeled"][image])
        assert torch.equal(inputs["labeled"][image], expected)
        assert torch.equal(samples["labeled"][image].gt_sem_seg.data[0], torch.where(takes, 3, before[image][0]))
        assert torch.equal(batch["data_samples"]["labeled"][image].gt_sem_seg.data, before[image])
    with pytest.raises(ValueError, match=r"copy_paste.exclude=\(9,\)"):
        ael(copy_paste=dict(exclude=(9,)))


def test_the_bank_follows_before_the_losses_look_at_it_and_options_switch_parts_off():
    model = ael(labeled_consistency=False, copy_paste=None, cutmix=None)
    losses = model(**semi_batch(model) | dict(step=teacher()), mode="loss")
    assert (model.bank.confidence > 0).all() and "bank.confidence" in model.state_dict()
    assert set(losses) >= {"unsup.decode.loss_consistency"} and "unsup.decode.loss_labeled" not in losses
