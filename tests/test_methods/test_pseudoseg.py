"""PseudoSeg's maps, attention and fused labels at their limits, CutOut, and which loss trains what."""

import pytest
import torch
from builders import CROP, build_model, semi_batch

from mmseg_allspark.labels import CutOut, fuse_predictions
from mmseg_allspark.methods import Step
from mmseg_allspark.models import ActivationAttention
from mmseg_allspark.utils.training_only import training_only_names

OURS = ("image_head.", "attention.")


def pseudoseg(**changes):
    options = dict(type="PseudoSegSegmentor", neck=None, attention=dict(dim=8), cutout=dict(half=8))
    return build_model(**options | changes)


def batch_of(model):
    return semi_batch(model, valid=torch.arange(CROP)[:, None] < 50)


def trained_by(model, loss):
    """First parts of the names of the parameters with a gradient that is not 0."""
    names, parameters = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return {n.split(".")[0] for n, g in zip(names, gradients, strict=True) if g is not None and g.abs().sum() > 0}


def test_uniform_attention_gives_the_mean_of_the_image_and_padding_that_of_all():
    attention = ActivationAttention((3, 2), 4, dim=8)
    attention.key.weight.data.zero_()
    features, maps, valid = torch.randn(1, 5, 4, 4), torch.rand(1, 3, 4, 4), torch.ones(1, 16, 16, dtype=torch.bool)
    valid[:, 8:] = False
    gathered = attention.spread(features, maps, valid) - maps
    for rows, seen in ((slice(2), maps[:, :, :2]), (slice(2, 4), maps)):
        expected = seen.mean(dim=(2, 3), keepdim=True).expand(1, 3, 2, 4)
        torch.testing.assert_close(gathered[:, :, rows], expected)


def test_without_a_class_all_is_background():
    attention = ActivationAttention((3, 2), 4, dim=8)
    maps = attention.add_background(attention.spread(torch.randn(2, 5, 4, 4), torch.zeros(2, 3, 4, 4), None))
    assert (maps.argmax(dim=1) == 0).all() and (maps[:, 0] == 2).all()
    assert ActivationAttention((3, 2), 4, background=False).add_background(maps) is maps


def test_an_image_leaves_the_labels_of_others_alone_if_each_has_its_scale():
    first, second = torch.randn(2, 5, 4, 4), torch.randn(2, 5, 4, 4)
    louder = first * torch.tensor([1.0, 50.0])[:, None, None, None]
    for per, same in (("image", True), ("batch", False)):
        before, after = (fuse_predictions((each, second), per=per)[0] for each in (first, louder))
        assert torch.allclose(before, after, atol=1e-5) == same


def test_cutout_blanks_a_square_and_cuts_it_at_the_border():
    torch.manual_seed(0)
    images, kept = CutOut(half=5)(torch.ones(200, 3, 20, 30))
    assert torch.equal(images.bool(), kept[:, None].expand_as(images))
    holes = (~kept).sum(dim=(1, 2))
    assert holes.max() == 100 and 25 <= holes.min() < 100
    assert (~kept).float().mean(dim=0).min() > 0.02  # reaches the corners


@pytest.mark.parametrize("own_labels", ["train", "eval"])
def test_each_loss_trains_its_own_part(own_labels):
    model = pseudoseg(own_labels=own_labels).train()
    losses = model(**batch_of(model), mode="loss")
    assert trained_by(model, losses["sup.attention.loss_ce"]) == {"attention"}
    assert trained_by(model, losses["sup.image.loss_bce"]) == {"image_head", "backbone"}
    assert trained_by(model, losses["unsup.decode.loss_strong"]) == {"backbone", "decode_head"}
    names = training_only_names(model)
    assert {name for name in model.state_dict() if name.startswith(OURS)} == names


def test_what_is_cut_out_or_padded_teaches_nothing():
    model = pseudoseg()
    pseudo = model.label(**batch_of(model))
    _, cut = model._cut(torch.randn(2, 3, CROP, CROP), pseudo)
    logits = torch.randn(2, 4, CROP, CROP, requires_grad=True)
    model.pseudo_label_loss(logits, cut).backward()
    taught = logits.grad.abs().sum(dim=1) > 0
    assert torch.equal(taught, cut.valid) and not torch.equal(cut.valid, pseudo.valid)
    assert not cut.valid[:, 50:].any()
    logits = (target := pseudo.logits).clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss := model.pseudo_label_loss(logits, pseudo), logits)
    prob = target.softmax(dim=1)
    torch.testing.assert_close(loss, -(prob * prob.log()).sum(dim=1)[:, :50].mean())
    assert gradient.abs().max() < 1e-7


def test_labels_of_both_ways_agree_without_a_train_mode():
    """Nothing here differs between train and eval mode, once norms and dropouts are in eval mode."""
    labels = []
    for own_labels in ("train", "eval"):
        model = pseudoseg(own_labels=own_labels).eval()
        step = Step()
        model(**batch_of(model) | dict(step=step), mode="loss")
        labels.append(step.record["pseudo"].logits)
    torch.testing.assert_close(*labels)


def test_classes_are_those_of_the_mask():
    model, mask = pseudoseg(), torch.zeros(CROP, CROP, dtype=torch.int64)
    batch = batch_of(model)
    mask[:5], mask[5:9] = 255, 2
    batch["data_samples"]["labeled"][0].gt_sem_seg.data = mask[None]
    assert model.present_classes(batch["data_samples"]["labeled"]).tolist() == [[0, 1, 0], [1, 1, 1]]
    assert pseudoseg(background=False).present_classes(batch["data_samples"]["labeled"])[0].tolist() == [1, 0, 1, 0]


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"levels=\(-2, -9\).*attention=dict\(in_channels"):
        pseudoseg(levels=(-2, -9))
    with pytest.raises(ValueError, match=r"cutout.half=10.*choose a half below 10"):
        CutOut(half=10)(torch.ones(1, 3, 20, 30))
    model = pseudoseg(attention=dict(in_channels=(24, 32)))
    with pytest.raises(ValueError, match=r"in_channels=\(24, 32\).*\(32, 24\) channels"):
        model(**batch_of(model), mode="loss")
