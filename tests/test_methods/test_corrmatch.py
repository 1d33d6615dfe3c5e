"""How CorrMatch's correlation propagates logits and labels, and what its threshold follows."""

from types import SimpleNamespace

import pytest
import torch
from builders import CROP, build_model, semi_batch
from torch import nn

from mmseg_allspark.labels import GlobalMaxThreshold, spread_labels
from mmseg_allspark.models import PixelCorrelation
from mmseg_allspark.utils.training_only import training_only_names

BN = dict(type="BN")
FIXED = dict(type="ConfidenceThreshold", threshold=0.3)


def corrmatch(**changes):
    options = dict(type="CorrMatchSegmentor", neck=None, segments=8, correlation=dict(channels=8, norm_cfg=BN))
    return build_model(**options | changes)


def batch_of(model, **step):
    return semi_batch(model, valid=torch.arange(CROP)[:, None] < 50, **step)


def bare_correlation(dim, scale, **options):
    """A correlation of given features (B, dim, h, w) whose query and key are the features times a scale."""
    module = PixelCorrelation(dim, dim, dim=dim, norm_cfg=BN, **options)
    module.project = nn.Identity()
    for conv in (module.query, module.key):
        conv.weight.data = scale * torch.eye(dim)[..., None, None]
    module.query.bias.data.zero_()
    return module


def test_rows_or_columns_weigh_the_logits():
    features, logits = torch.randn(2, 6, 5, 6), torch.randn(2, 4, 5, 6)
    for propagate, path in (("row", "bki,bij->bkj"), ("column", "bkj,bij->bki")):
        out, affinity = bare_correlation(6, 1.0, propagate=propagate)(features, logits)
        torch.testing.assert_close(affinity.sum(2), torch.ones(2, 30))
        torch.testing.assert_close(out.flatten(2), torch.einsum(path, logits.flatten(2), affinity))


@pytest.mark.parametrize(("sure", "of_class", "spreads"), [(84, 84, False), (90, 81, True), (90, 72, False)])
def test_a_segment_is_relabeled_if_it_is_sure_and_of_one_class(sure, of_class, spreads):
    """A hundred pixels, threshold 0.85: enough of them sure, and more than the threshold of these of class 3."""
    label, kept = torch.ones(1, 10, 20, dtype=torch.int64), torch.zeros(1, 10, 20, dtype=torch.bool)
    segment = torch.zeros(1, 1, 10, 20, dtype=torch.bool)
    segment[..., :10], kept[..., :10] = True, torch.arange(100).view(10, 10) < sure
    label[..., :10][0] = torch.where(torch.arange(100).view(10, 10) < of_class, 3, 1)
    (after, kept_after), inside = spread_labels(label, kept, segment, torch.tensor([0.85]), 4), segment[:, 0]
    assert torch.equal(after[~inside], label[~inside]) and not kept_after[~inside].any()
    assert ((after[inside] == 3).all() and kept_after[inside].all()) == spreads
    assert torch.equal(after, label) != spreads


def test_later_segments_see_what_earlier_ones_have_changed():
    label, kept = torch.tensor([[[3, 3, 3, 1, 1, 1]]]), torch.ones(1, 1, 6, dtype=torch.bool)
    first, second = torch.tensor([1, 1, 1, 1, 0, 0]).bool(), torch.tensor([0, 0, 1, 1, 1, 0]).bool()
    for order, expected in (((first, second), [3, 3, 3, 3, 3, 1]), ((second, first), [3, 3, 1, 1, 1, 1])):
        after, _ = spread_labels(label, kept, torch.stack(order)[None, :, None], torch.tensor([0.6]), 4)
        assert after.flatten().tolist() == expected


def test_pasted_pixels_and_padding_keep_their_labels():
    model = corrmatch(cutmix=dict(prob=1.0), confidence=dict(type="GlobalMaxThreshold", init=0.0)).train()
    model.correlation.segments = lambda affinity, rows, *_: torch.ones(2, len(rows), CROP, CROP, dtype=torch.bool)
    seen, spread = [], model._spread
    model._spread = lambda joint, mixed: seen.extend([mixed, spread(joint, mixed)]) or seen[-1]
    model(**batch_of(model), mode="loss")
    mixed, after = seen
    may_change = mixed.extras["is_own"] & mixed.valid
    assert torch.equal(after.label[~may_change], mixed.label[~may_change])
    assert 0.01 < (~mixed.extras["is_own"]).float().mean() < 0.5
    assert all(len(label[inside].unique()) == 1 for label, inside in zip(after.label, may_change, strict=True))


def test_the_threshold_follows_the_step_and_is_saved():
    model, module = corrmatch(), GlobalMaxThreshold(3, init=0.5, momentum=0.5)
    confidence, label = torch.tensor([[[0.9, 0.8, 0.6]]]), torch.tensor([[[0, 0, 2]]])
    module.update(confidence, label)
    module.update(confidence, label, torch.zeros(1, 1, 3, dtype=torch.bool))  # padding alone changes nothing
    assert module.threshold.item() == pytest.approx(0.5 + 0.5 * ((0.9 + 0.6) / 2 - 0.5))
    model(**batch_of(model), mode="loss")
    state = model.state_dict()
    assert 0 < (0.85 - state["confidence.threshold"]).item() < 0.001 * 0.85  # once, by an unsure model
    names = training_only_names(model)
    assert "confidence.threshold" in names and {name for name in state if "correlation" in name} <= names


def test_without_segments_the_strong_view_learns_as_in_unimatch():
    options = dict(confidence=FIXED, cutmix=None, strong_views=("strong",), strong_weight=0.25, feature_weight=0.0)
    ours = corrmatch(segments=0, **options).eval()
    theirs = build_model(type="UniMatchSegmentor", neck=None, **options).eval()
    theirs.load_state_dict(ours.state_dict(), strict=False)
    losses = [model(**batch_of(model), mode="loss") for model in (ours, theirs)]
    torch.testing.assert_close(*(each["unsup.decode.loss_strong"] for each in losses))
    torch.testing.assert_close(2 * losses[0]["sup.decode.loss_ce"], losses[1]["sup.decode.loss_ce"])


def test_the_divergence_is_zero_between_equal_views():
    model = corrmatch(confidence=FIXED, cutmix=None).eval()
    batch = batch_of(model)
    assert model(**batch, mode="loss")["unsup.decode.loss_kl"] > 1e-4
    batch["inputs"]["strong"] = batch["inputs"]["weak"]
    assert model(**batch, mode="loss")["unsup.decode.loss_kl"].abs() < 1e-7
    own, other = (SimpleNamespace(logits=torch.randn(2, 4, 8, 8), label=torch.zeros(2, 8, 8)) for _ in range(2))
    other.mean_loss = torch.mean
    for model.kl_mixed, target in ((False, own), (True, other)):
        assert (model._divergence(target.logits, own, other).abs() < 1e-6).all()


def test_labeled_images_alone_train_the_correlation():
    model = corrmatch()
    losses = model(**batch_of(model, unsup_scale=0.0), mode="loss")
    assert {name for name in losses if "loss" in name} == {"sup.decode.loss_ce", "sup.corr.loss_ce"}
    losses["sup.corr.loss_ce"].backward()
    assert all(parameter.grad is not None for parameter in model.correlation.parameters())
    assert model.decode_head.conv_seg.weight.grad is None  # the logits get no gradient


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="one strong view"):
        corrmatch(strong_views=("strong1", "strong2"))
    for confidence in (None, dict(FIXED, threshold=[0.1, 0.2, 0.3, 0.4]), dict(FIXED, per="image")):
        with pytest.raises(ValueError, match="one threshold for all classes.*GlobalMaxThreshold"):
            corrmatch(confidence=confidence)
