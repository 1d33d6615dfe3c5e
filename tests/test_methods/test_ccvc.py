"""CCVC: the limits of its discrepancy, what counts more and what does not, and what a step passes."""

import math

import pytest
import torch
from builders import CROP, build_model, head_config, semi_batch

from mmseg_allspark.labels import PseudoLabel
from mmseg_allspark.methods import Step

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
