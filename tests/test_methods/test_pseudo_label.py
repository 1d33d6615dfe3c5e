import numpy as np
import pytest
import torch
from builders import build_model

from mmseg_allspark.labels import (
    ClassQuantileThreshold,
    ConfidenceThreshold,
    DistributionAlignment,
    PseudoLabel,
    count_pseudo_labels,
    pseudo_label_statistics,
)


def confidences(batch=2, classes=3, side=6):
    return torch.rand(batch, side, side), torch.randint(0, classes, (batch, side, side))


@pytest.mark.parametrize("threshold", [0.5, [0.2, 0.5, 0.9]])
def test_one_threshold_for_all_classes_or_one_per_class(threshold):
    confidence, label = confidences()
    confidence[0, 0, 0], label[0, 0, 0] = 0.5, 1  # at the threshold: kept
    weight = ConfidenceThreshold(threshold)(confidence, label)
    for pixel in np.ndindex(*label.shape):
        least = threshold if isinstance(threshold, float) else threshold[label[pixel]]
        assert weight[pixel] == (confidence[pixel] >= least)


def test_thresholds_for_another_number_of_classes_are_refused_when_the_model_is_built():
    with pytest.raises(ValueError, match=r"confidence\.threshold has 3 values.*4 classes"):
        build_model(confidence=dict(type="ConfidenceThreshold", threshold=[0.5, 0.6, 0.7]))


def test_thresholds_are_not_part_of_the_checkpoint():
    """So that a checkpoint loads whatever threshold is configured."""
    assert ConfidenceThreshold([0.1, 0.2]).state_dict() == {}


def test_class_thresholds_converge_to_the_quantiles():
    """Three classes of very different confidence, of one of which there is little; all keep the same share."""
    module, keep = ClassQuantileThreshold(3, keep=0.3, momentum=0.05, ceiling=1.0), 0.3
    rng = np.random.default_rng(0)
    ranges = [(0.2, 0.5), (0.4, 0.9), (0.8, 1.0)]
    history = []
    for _ in range(600):
        label = rng.choice(3, size=400, p=[0.6, 0.35, 0.05])
        low, high = np.array(ranges)[label].T
        confidence = torch.as_tensor(rng.uniform(low, high), dtype=torch.float32).view(1, 20, 20)
        label = torch.as_tensor(label).view(1, 20, 20)
        module.update(confidence, label)
        weight = module(confidence, label)
        history.append([weight[label == kind].mean().item() for kind in range(3)])
    expected = [low + (1 - keep) * (high - low) for low, high in ranges]
    assert module.threshold.tolist() == pytest.approx(expected, abs=0.04)
    assert np.nanmean(history[300:], axis=0).tolist() == pytest.approx([keep] * 3, abs=0.08)


def test_class_threshold_moves_for_classes_that_occur_only_and_stays_in_range():
    module = ClassQuantileThreshold(3, keep=0.5, momentum=1.0)
    label = torch.zeros(1, 4, 4, dtype=torch.int64)
    for _ in range(5):
        module.update(torch.ones(1, 4, 4), label)
    assert module.threshold.tolist() == [1.0, 0.5, 0.5]
    assert module(torch.full((1, 4, 4), 0.96), label).all()  # the ceiling of 0.95


def test_alignment_starts_as_identity_and_moves_the_prediction_to_the_labels():
    module = DistributionAlignment(3)
    logits = torch.randn(2, 3, 8, 8)
    assert torch.equal(module(logits), logits)
    labels = torch.tensor([0] * 10 + [1] * 30 + [255] * 24).view(1, 8, 8)
    module.update(labels, logits)
    # the first update replaces the uniform start
    assert module.labeled_prior.tolist() == pytest.approx([0.25, 0.75, 0.0])
    predicted = logits.softmax(dim=1).mean(dim=(0, 2, 3))
    torch.testing.assert_close(module.predicted_prior, predicted)
    shift = (module(logits) - logits)[0, :2, 0, 0]
    torch.testing.assert_close(shift, (torch.tensor([0.25, 0.75]) / predicted[:2]).log())
    assert module(logits)[:, 2].max() < -5  # a class without labels is never predicted


def test_alignment_is_a_running_mean():
    module, momentum = DistributionAlignment(2, momentum=0.25), 0.25
    prior = [0.5, 0.5]
    for step, share in enumerate([1, 3, 2, 0, 4, 4, 4]):
        labels = torch.tensor([1] * share + [0] * (4 - share)).view(1, 2, 2)
        module.update(labels, torch.zeros(1, 2, 2, 2))
        rate = max(1 / (step + 1), momentum)
        prior = [(1 - rate) * old + rate * new for old, new in zip(prior, [1 - share / 4, share / 4], strict=True)]
        assert module.labeled_prior.tolist() == pytest.approx(prior)
    shift = (module(torch.zeros(1, 2, 1, 1)))[0, :, 0, 0]
    torch.testing.assert_close(shift, (torch.tensor(prior) / 0.5).log(), rtol=1e-4, atol=1e-5)


def test_alignment_without_a_labeled_pixel_keeps_the_labeled_mean():
    module = DistributionAlignment(2)
    module.update(torch.full((1, 2, 2), 255), torch.randn(1, 2, 2, 2))
    assert module.labeled_prior.tolist() == [0.5, 0.5]
    assert module.updates == 1


def statistics_oracle(pseudos, truths):
    """Pixel by pixel over all batches."""
    logits = np.concatenate([pseudo.logits.double().numpy().transpose(0, 2, 3, 1).reshape(-1, 4) for pseudo in pseudos])
    label, weight = (
        np.concatenate([getattr(p, part).numpy().ravel() for p in pseudos]) for part in ("label", "weight")
    )
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = dict(
        kept=weight.mean(),
        entropy=-(probability * np.log(probability)).sum(axis=1).mean(),
        share=[(label == kind).mean() for kind in range(4)],
    )
    if truths is not None:
        truth = np.concatenate([mask.numpy().ravel() for mask in truths])
        label, truth, weight = (values[truth != 255] for values in (label, truth, weight))
        hits = label == truth
        expected |= dict(
            agreement=hits.mean(),
            agreement_kept=(hits * weight).sum() / weight.sum(),
            precision=[(hits * weight)[label == kind].sum() / weight[label == kind].sum() for kind in range(4)],
            recall=[hits[truth == kind].mean() for kind in range(4)],
        )
    return expected


@pytest.mark.parametrize("with_truth", [True, False])
def test_statistics_of_two_batches_equal_numpy(with_truth):
    pseudos, truths = [], []
    for _ in range(2):
        logits = torch.randn(2, 4, 5, 7)
        pseudos.append(PseudoLabel(logits, logits.argmax(dim=1), torch.rand(2, 5, 7)))
        truths.append(torch.randint(0, 4, (2, 5, 7)))
        truths[-1][0, :3] = 255
    truths = truths if with_truth else None
    counts = sum(count_pseudo_labels(p, truths and truths[i], num_classes=4) for i, p in enumerate(pseudos))
    got, expected = pseudo_label_statistics(counts), statistics_oracle(pseudos, truths)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(got[name].numpy(), value, rtol=1e-5, err_msg=name)


def test_statistics_leave_out_padding_and_have_no_agreement_without_a_known_pixel():
    logits = torch.randn(1, 3, 2, 2)
    valid = torch.tensor([[[True, True], [False, False]]])
    weight = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]])
    pseudo = PseudoLabel(logits, logits.argmax(dim=1), weight, valid)
    counts = count_pseudo_labels(pseudo, torch.full((1, 2, 2), 255), num_classes=3)
    assert counts[0].sum() == 2
    got = pseudo_label_statistics(counts)
    assert got["kept"] == 0.5 and "agreement" not in got
