"""UniMatch's losses against a plain computation in the order of the release, and which image is pasted into which."""

import pytest
import torch
from builders import CROP, Labeler, build_model, logits_of, semi_batch
from mmengine.structures import PixelData
from torch.nn.functional import cross_entropy

from mmseg_allspark.labels import CutMix
from mmseg_allspark.methods import Step

THRESHOLD = 0.3


def unimatch(**changes):
    """Without dropout and, in eval mode, without statistics that couple images."""
    confidence = dict(type="ConfidenceThreshold", threshold=THRESHOLD)
    return build_model(**dict(type="UniMatchSegmentor", neck=None, confidence=confidence) | changes)


def batch_of(model):
    """Random images with three views of two unlabeled ones, of which the lower part is padding."""
    return semi_batch(model, views=("strong1", "strong2"), valid=torch.arange(CROP)[:, None] < 50)


def masked_mean(logits, label, confidence, valid):
    """The release's loss: sum over confident valid pixels, divided by the number of valid ones."""
    loss = cross_entropy(logits, label, reduction="none")
    return (loss * ((confidence >= THRESHOLD) & valid)).sum() / valid.sum()


def test_losses_are_those_of_the_release():
    model = unimatch(feature_drop=0.0, cutmix=dict(prob=1.0)).eval()  # eval: train-mode labels are then eval-mode ones
    batch = batch_of(model)
    views, valid = batch["inputs"], torch.ones(2, CROP, CROP, dtype=torch.bool)
    valid[:, 50:] = False
    with torch.no_grad():
        confidence, label = logits_of(model, views["weak"]).softmax(1).max(1)
    expected = []
    torch.manual_seed(5)
    for name in ("strong1", "strong2"):
        image, *target = CutMix(prob=1.0)([views[name], label, confidence, valid])
        expected.append(masked_mean(logits_of(model, image), *target))
    feature = masked_mean(logits_of(model, views["weak"]), label, confidence, valid)
    torch.manual_seed(5)
    losses = model(**batch, mode="loss")
    torch.testing.assert_close(losses["unsup.decode.loss_strong"], 0.5 * 0.5 * sum(expected) / 2)
    torch.testing.assert_close(losses["unsup.decode.loss_feature"], 0.5 * 0.5 * feature)
    assert 0.1 < (confidence >= THRESHOLD).float().mean() < 1.0
    masks = torch.cat([sample.gt_sem_seg.data for sample in batch["data_samples"]["labeled"]])
    supervised = cross_entropy(logits_of(model, views["labeled"]), masks, ignore_index=255)
    torch.testing.assert_close(losses["sup.decode.loss_ce"], 0.5 * supervised)


def test_own_labels_are_of_train_mode_and_pasted_ones_of_eval_mode():
    """In train mode batch norm gives other logits; the rectangle has the labeler's labels."""
    model = unimatch(cutmix=dict(prob=1.0)).train()
    seen = {}
    model.pseudo_label_loss = lambda logits, pseudo: seen.setdefault(len(seen), pseudo) and logits.sum() * 0
    batch = batch_of(model)
    marked = torch.zeros(2, model.num_classes, CROP, CROP)
    marked[:, 3] = 100.0  # class 3 everywhere, surely
    model(**batch | dict(step=Step(labelers=(Labeler(marked),))), mode="loss")
    strong = seen[0]
    pasted = strong.logits[:, 3] == 100.0
    assert 0.01 < pasted.float().mean() < 0.5
    assert (strong.label[pasted] == 3).all() and (strong.label[~pasted] != 3).any()
    own = seen[2]  # of the features: no rectangle
    assert not (own.logits == 100.0).any()
    assert torch.equal(strong.label[~pasted], own.label[~pasted])


def test_own_labels_of_eval_mode():
    model = unimatch(own_labels="eval", cutmix=None).train()
    seen = []
    model.pseudo_label_loss = lambda logits, pseudo: seen.append(pseudo) or logits.sum() * 0
    batch = batch_of(model)
    labels = model.label_unlabeled(batch["inputs"])
    model(**batch, mode="loss")
    assert all(torch.equal(pseudo.logits, labels) for pseudo in seen)


def test_features_are_dropped_by_channel():
    model = unimatch(feature_drop=0.5)
    batch, seen, decode = batch_of(model), [], model.decode
    model.decode = lambda feats: seen.append(feats) or decode(feats)
    model(**batch, mode="loss")
    images = len(batch["inputs"]["labeled"]) + 2
    # labels; as in the release labeled and unlabeled features, then both again with channels dropped, in one batch
    assert [len(feats[0]) for feats in seen] == [2, 2 * images, 4]
    seen.pop(0)
    dropped = torch.cat([(level == 0).flatten(2).all(dim=2) for level in seen[0]], dim=1).float().mean(dim=1)
    assert (dropped[:images] < 0.1).all() and (dropped[images:] > 0.2).all() and (dropped < 0.8).all()
    for level in seen[0]:
        kept = level[images:] != 0
        torch.testing.assert_close(level[images:][kept], 2 * level[:images][kept])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (dict(strong_views=()), "at least one strong view"),
        (dict(unlabeled_view="strong1"), "unlabeled_view='strong1': UniMatch's is 'weak'"),
    ],
)
def test_bad_arguments_are_named(changes, text):
    with pytest.raises(ValueError, match=text):
        unimatch(**changes)


def test_missing_view_and_missing_marks_are_named():
    model = unimatch()
    batch = batch_of(model)
    del batch["inputs"]["strong2"]
    with pytest.raises(KeyError, match=r"'strong2'.*MultiView"):
        model(**batch, mode="loss")
    with pytest.raises(KeyError, match="PadAndMark"):
        model(**semi_batch(model) | dict(inputs=batch_of(model)["inputs"]), mode="loss")


def test_labels_from_files_are_the_own_and_the_pasted_ones():
    model = unimatch(cutmix=dict(prob=1.0)).train()
    seen = []
    model.pseudo_label_loss = lambda logits, pseudo: seen.append(pseudo) or logits.sum() * 0
    valid = torch.ones(CROP, CROP, dtype=torch.bool)
    batch = semi_batch(model, views=("strong1", "strong2"), valid=valid, labels_from="data")
    for item in batch["data_samples"]["unlabeled"]:
        item.set_data(dict(pseudo_seg_map=PixelData(data=torch.full((1, CROP, CROP), 3))))
    model(**batch, mode="loss")
    assert len(seen) == 3 and all((pseudo.label == 3).all() for pseudo in seen)
