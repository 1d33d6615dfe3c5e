"""CPS against plain computations: which labels each network learns from, and what passes with what."""

import pytest
import torch
from builders import CROP, build_model, head_config, logits_of, model_config, neck_config, semi_batch, train, write_data
from torch.nn.functional import cross_entropy

from mmseg_allspark.labels import CutMix
from mmseg_allspark.methods import Step
from mmseg_allspark.models import TeacherAverage

RELEASED = dict(prob=1.0, boxes=3, area=(0.25, 0.5), aspect=None)


def cps(**changes):
    return build_model(**dict(type="CPSSegmentor", neck=None) | changes).train()


def losses_of(model, batch=None, seed=3):
    torch.manual_seed(seed)
    return model(**batch or semi_batch(model), mode="loss")


def both_logits(model, images):
    return [logits_of(network, images) for network in (model, model.second)]


def cross(first, second, labels):
    return cross_entropy(first, labels[1]), cross_entropy(second, labels[0])


@pytest.mark.parametrize("on_labeled", [True, False])
def test_without_cutmix_labels_are_those_of_the_step_itself(on_labeled):
    model = cps(unsup_weight=6.0, cps_on_labeled=on_labeled)
    batch = semi_batch(model, unlabeled=3, unsup_scale=0.5)
    logits = both_logits(model, torch.cat([batch["inputs"]["labeled"], batch["inputs"]["weak"]]))
    first, second = (values[0 if on_labeled else 2 :] for values in logits)
    expected = cross(first, second, (first.argmax(1), second.argmax(1)))
    got = losses_of(model, batch)
    for name, value in zip(("decode", "second"), expected, strict=True):
        torch.testing.assert_close(got[f"unsup.{name}.loss_cps"], 3.0 * value)
    assert got["unsup.disagreement"] == (first.argmax(1) != second.argmax(1)).float().mean()
    assert torch.equal(batch["step"].record["pseudo"].label, logits[0][2:].argmax(1))


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_with_cutmix_both_networks_label_before_mixing(mode):
    model = cps(cutmix=RELEASED, labels_in=mode)
    batch = semi_batch(model, unlabeled=3)
    images = batch["inputs"]["weak"]
    with torch.no_grad():
        labels = [logits.argmax(1) for logits in both_logits(model.train(mode == "train"), images)]
    got = losses_of(model.train(), batch)
    torch.manual_seed(3)
    images, *labels = CutMix(**RELEASED)([images, *labels])
    first, second = both_logits(model, torch.cat([batch["inputs"]["labeled"], images]))
    for name, value in zip(("decode", "second"), cross(first[2:], second[2:], labels), strict=True):
        torch.testing.assert_close(got[f"unsup.{name}.loss_cps"], 1.5 * value)


def test_each_loss_trains_one_network():
    model = cps()
    losses = losses_of(model)
    second = list(model.second.parameters())
    first = [parameter for name, parameter in model.named_parameters() if not name.startswith("second.")]
    for name in ("sup.decode.loss_ce", "sup.second.loss_ce", "unsup.decode.loss_cps", "unsup.second.loss_cps"):
        trained, other = (second, first) if "second" in name else (first, second)
        gradients = torch.autograd.grad(losses[name], trained + other, retain_graph=True, allow_unused=True)
        assert all(gradient is not None for gradient in gradients[: len(trained)]), name
        assert all(gradient is None for gradient in gradients[len(trained) :]), name


def test_separate_norm_keeps_the_statistics_of_either_part():
    model = cps(separate_norm=True)
    batch = semi_batch(model)
    parts = [both_logits(model, batch["inputs"][name]) for name in ("labeled", "weak")]
    first, second = (torch.cat(values) for values in zip(*parts, strict=True))
    expected = cross(first, second, (first.argmax(1), second.argmax(1)))
    torch.testing.assert_close(losses_of(model, batch)["unsup.decode.loss_cps"], 1.5 * expected[0])
    with pytest.raises(ValueError, match=r"model.separate_norm=True.*AllSparkNeck"):
        cps(separate_norm=True, neck=neck_config())


def test_padding_counts_in_no_cross_supervision():
    model = cps(mask_padding=True)
    batch = semi_batch(model, valid=torch.arange(CROP) < 40)
    first, second = both_logits(model, torch.cat([batch["inputs"]["labeled"], batch["inputs"]["weak"]]))
    expected = cross_entropy(first[..., :40], second.argmax(1)[..., :40])
    torch.testing.assert_close(losses_of(model, batch)["unsup.decode.loss_cps"], 1.5 * expected)


def test_burn_in_trains_both_networks_without_unlabeled_images():
    model = cps()
    batch = semi_batch(model) | dict(step=Step(unsup_scale=0.0))
    losses = losses_of(model, batch)
    assert set(losses) >= {"sup.decode.loss_ce", "sup.second.loss_ce"} and not any("unsup" in name for name in losses)
    sum(value for name, value in losses.items() if "loss" in name).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_an_auxiliary_head_that_one_network_alone_would_have_is_refused():
    with pytest.raises(ValueError, match="model.auxiliary_head"):
        cps(auxiliary_head=head_config(in_channels=16, in_index=2, type="FCNHead", num_convs=1))


@pytest.mark.parametrize("kind", ["CPSSegmentor", "GuidedMixSegmentor"])
def test_a_teacher_cannot_label(tmp_path, kind):
    data = write_data(tmp_path / "data")
    options = dict(model=model_config(type=kind, neck=None), custom_hooks=[dict(type="MeanTeacherHook")])
    with pytest.raises(ValueError, match="needs train_cfg.pseudo_labels_from='model', not 'ema'"):
        train(data, tmp_path, loop=dict(max_iters=1, pseudo_labels_from="ema"), **options)


@pytest.mark.parametrize("method", ["CPSSegmentor", "CCVCSegmentor"])
@pytest.mark.parametrize("evaluated", ["first", "mean"])
def test_an_average_follows_the_second_network_only_if_it_is_evaluated(method, evaluated):
    model = cps(type=method, evaluated=evaluated, decode_head=head_config())
    assert (TeacherAverage(model).module.second is model.second) == (evaluated == "first")
