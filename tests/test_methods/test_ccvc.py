"""CCVC: the limits of its discrepancy, what counts more and what does not, and what a step passes."""

import math

import pytest
import torch
from builders import CROP, build_model, head_config, semi_batch
from mmengine.structures import PixelData
from torch.nn.functional import cross_entropy

from mmseg_allspark.labels import PseudoLabel
from mmseg_allspark.methods import Step
from mmseg_allspark.methods.ccvc import discrepancy

META = [dict(ori_shape=(CROP, CROP), img_shape=(CROP, CROP))]


def ccvc(**changes):
    options = dict(type="CCVCSegmentor", neck=None, mask_padding=False, mapping=dict(dropout=0.0))
    return build_model(**options | changes).train()


def losses_of(model, batch=None, seed=3):
    torch.manual_seed(seed)
    return model(**batch or semi_batch(model), mode="loss")


def consistency(losses):
    return sum(value for name, value in losses.items() if name.endswith(("loss_raw", "loss_mixed")))


def labels(*logits):
    """Of networks, (B, K, H, W)."""
    return [PseudoLabel(one, one.argmax(1), torch.ones_like(one[:, 0])) for one in logits]


def test_discrepancy_at_its_limits():
    features = torch.rand(2, 6, 3, 3) + 0.1
    torch.testing.assert_close(discrepancy(features, 3 * features), torch.tensor(2.0))
    half = torch.arange(6).view(6, 1, 1) < 3
    torch.testing.assert_close(discrepancy(features * half, features * ~half), torch.tensor(1.0))
    assert 1 <= discrepancy(features, torch.rand(2, 6, 3, 3)) <= 2


def test_each_side_has_half_of_the_gradient():
    first, second = (torch.randn(2, 6, 3, 3, requires_grad=True) for _ in range(2))
    whole = 1 + torch.nn.functional.cosine_similarity(first, second).mean()
    got, expected = (torch.autograd.grad(value, (first, second)) for value in (discrepancy(first, second), whole))
    torch.testing.assert_close([2 * gradient for gradient in got], list(expected))


def test_a_shift_of_all_logits_changes_conflicts_of_logits_alone():
    logits = torch.randn(2, 2, 4, 5, 5)
    shifted = labels(*(logits + 5))
    for by, same in (("probability", True), ("logit", False)):
        model = ccvc(conflict_by=by, conflict_threshold=0.6)
        before, after = model._with_conflicts(*labels(*logits)), model._with_conflicts(*shifted)
        pairs = [(a.extras["conflict"], b.extras["conflict"]) for a, b in zip(before, after, strict=True)]
        assert all(torch.equal(*pair) for pair in pairs) == same and any(a.any() for a, _ in pairs)


def test_no_probability_exceeds_one():
    losses = losses_of(ccvc(conflict_threshold=1.0, conflict_weight=7.0))
    assert losses["unsup.disagreement"] > 0 and losses["unsup.sure_conflicts"] == 0
    assert consistency(losses) == consistency(losses_of(ccvc(conflict_weight=1.0)))


def test_the_consistency_is_linear_in_the_weight_of_conflicts():
    one, two, three = (losses_of(ccvc(conflict_weight=weight, conflict_threshold=0.3)) for weight in (1.0, 2.0, 3.0))
    assert two["unsup.sure_conflicts"] > 0
    torch.testing.assert_close(consistency(three) - consistency(two), consistency(two) - consistency(one))
    pseudo, other = ccvc()._with_conflicts(*labels(*torch.randn(2, 2, 4, 5, 5) * 4))
    loss = cross_entropy(other.logits, pseudo.label, reduction="none")
    expected = (loss + 0.5 * loss * pseudo.extras["conflict"]).mean()
    torch.testing.assert_close(ccvc()._consistency(other.logits, pseudo), expected)


@pytest.mark.parametrize("strong_view", ["strong", None])
def test_equal_logits_of_all_classes(strong_view):
    model = ccvc(strong_view=strong_view)
    for head in (model.decode_head, model.second.decode_head):
        torch.nn.init.zeros_(head.conv_seg.weight), torch.nn.init.zeros_(head.conv_seg.bias)
    losses = losses_of(model)
    distances = losses["sup.loss_discrepancy"] + losses["unsup.loss_discrepancy"]
    total = sum(value for name, value in losses.items() if "loss" in name)
    assert (total - distances).item() == pytest.approx(7 * math.log(4), rel=1e-5)
    assert losses["unsup.disagreement"] == 0 and 0 < distances < 2
    assert {"unsup.decode.loss_mixed", "unsup.second.loss_mixed"} <= losses.keys() or strong_view is None


def test_conflicts_are_mixed_with_their_labels():
    mixed, unmixed = ccvc(), ccvc(conflict_of="unmixed")
    inputs = semi_batch(mixed)
    before = mixed.label(*inputs.values())
    before.extras.update(conflict=torch.zeros(2, CROP, CROP).bool(), second_conflict=torch.ones(2, CROP, CROP).bool())
    before.extras["conflict"][1] = True
    _, after = mixed.paste(inputs["inputs"]["strong"], before, before)
    first, second = mixed._mixed_labels(after, before)
    inside = first.extras["conflict"][0]
    assert 0 < inside.float().mean() < 0.5 and second.extras["conflict"].all()
    assert torch.equal(first.label[0], torch.where(inside, before.label[1], before.label[0]))
    assert not unmixed._mixed_labels(after, before)[0].extras["conflict"][0].any()


def test_padding_counts_in_no_consistency_but_in_the_discrepancy():
    model = ccvc(mask_padding=True, strong_view=None, separate_norm=True)
    batch = semi_batch(model)
    for sample in batch["data_samples"]["unlabeled"]:
        sample.valid = PixelData(data=torch.ones(1, CROP, CROP, dtype=torch.bool))
        sample.valid.data[..., 40:] = False
    got = losses_of(model, batch)
    both = model.joint_pass(**batch | dict(images=batch["inputs"]["weak"], pseudo=None)).aux
    first, second = (network.images(slice(2, None)) for network in both)
    logits = [model.upsample(network.logits, (CROP, CROP)) for network in (first, second)]
    by_first, by_second = model._with_conflicts(*labels(*logits))
    weight = 1 + 0.5 * by_second.extras["conflict"]
    loss = (cross_entropy(logits[0], by_second.label, reduction="none") * weight)[..., :40].mean()
    torch.testing.assert_close(got["unsup.decode.loss_raw"], loss)
    torch.testing.assert_close(got["unsup.loss_discrepancy"], discrepancy(first.hidden, second.hidden) / 2)


def test_without_its_own_losses_two_supervised_networks_are_left():
    model = ccvc(unsup_weight=0.0, discrepancy_weight=0.0)
    sum(value for name, value in losses_of(model).items() if "loss" in name).backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    losses = losses_of(model, semi_batch(model) | dict(step=Step(unsup_scale=0.0)))
    (losses["sup.decode.loss_ce"] + losses["sup.second.loss_ce"]).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], msg=name)


def test_the_mapping_is_a_part_of_the_second_network():
    model = ccvc(evaluated="second").eval()
    images = torch.randn(1, 3, CROP, CROP)
    before, head = model.encode_decode(images, META), model.second.decode_head
    hidden = head.mapping(head.trunk(model.second.extract_feat(images)))
    torch.testing.assert_close(before, model.upsample_second(head.tail(hidden), (CROP, CROP)))
    assert hidden.min() >= 0 and not hasattr(ccvc(mapping=None).second.decode_head, "mapping")


def test_what_contradicts_itself_is_named():
    with pytest.raises(TypeError, match=r"model.decode_head.type='FCNHead'.*DeepLabV3PlusHead"):
        ccvc(decode_head=dict(type="FCNHead", in_channels=32, channels=8, num_classes=4))
    with pytest.raises(ValueError, match=r"model.second.decode_head.*32 channels, those of model.decode_head 64"):
        ccvc(second=dict(decode_head=head_config(channels=8)))
    with pytest.raises(ValueError, match=r"model.unlabeled_view='strong'.*model.strong_view"):
        ccvc(unlabeled_view="strong")
