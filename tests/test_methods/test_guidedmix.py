"""GuidedMix-Net's losses against a plain computation in the order of the released code, option by option."""

import pytest
import torch
from builders import CROP, build_model, neck_config, semi_batch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, interpolate, one_hot

from mmseg_allspark.methods import JointPass, Step

B = 3
DECOUPLED = "unsup.decode.loss_decoupled"


def guidedmix(seed=0, **changes):
    """Without dropout and, in eval mode, without statistics that couple images."""
    return build_model(seed, **dict(type="GuidedMixSegmentor", neck=None) | changes).eval()


def batch_of(model, **options):
    return semi_batch(model, labeled=B, unlabeled=B, **options)


def run(model, batch, seed=5):
    """Losses of a step with known random numbers."""
    torch.manual_seed(seed)
    return model(**batch, mode="loss")


def drawn(limit=0.5, seed=5):
    """lambda and permutation as the step draws them."""
    torch.manual_seed(seed)
    share = torch.rand(()).item() * limit
    order = torch.randperm(B)
    assert order.tolist() != list(range(B)) and 0.05 < share < 0.5
    return share, order


def plain_parts(model, batch):
    """Trunk and logits of labeled and unlabeled images, each half by itself."""
    trunks = [model.decode_head.trunk(model.backbone(batch["inputs"][part])) for part in ("labeled", "weak")]
    return *trunks, *(model.decode_head.tail(trunk) for trunk in trunks)


def focal(logits, target):
    y = one_hot(target, logits.shape[1]).permute(0, 3, 1, 2).float()
    p = logits.sigmoid()
    q = (1 - p) * y + p * (1 - y)
    return 10 * (0.5 * q.sqrt() * binary_cross_entropy_with_logits(logits, y, reduction="none")).mean()


def test_losses_are_those_of_the_released_code():
    model = guidedmix()
    batch = batch_of(model)
    share, order = drawn()
    labeled, unlabeled, z_l, z_u = plain_parts(model, batch)
    z_m = model.decode_head_mix(share * labeled + (1 - share) * unlabeled[order])
    losses = run(model, batch)
    torch.testing.assert_close(losses[DECOUPLED], focal(z_m - share * z_l, z_u[order].argmax(dim=1)))
    masks = torch.cat([sample.gt_sem_seg.data for sample in batch["data_samples"]["labeled"]])
    full = interpolate(z_l, size=(CROP, CROP), mode="bilinear", align_corners=False)
    torch.testing.assert_close(losses["sup.decode.loss_ce"], cross_entropy(full, masks, ignore_index=255))
    assert {name for name in losses if "loss" in name} == {DECOUPLED, "sup.decode.loss_ce"}
    torch.testing.assert_close(run(guidedmix(unsup_weight=2.0), batch)[DECOUPLED], 2 * losses[DECOUPLED])


def test_unsure_pixels_and_padding_do_not_count():
    model = guidedmix(confidence=dict(type="ConfidenceThreshold", threshold=0.4), mask_padding=True)
    valid = torch.ones(B, CROP, CROP, dtype=torch.bool)
    valid[0, 30:], valid[1, :, 40:] = False, False
    batch = batch_of(model, valid=valid)
    share, order = drawn()
    labeled, unlabeled, z_l, z_u = plain_parts(model, batch)
    left = model.decode_head_mix(share * labeled + (1 - share) * unlabeled[order]) - share * z_l
    confidence, label = z_u[order].softmax(dim=1).max(dim=1)
    inside = interpolate(valid[:, None].float(), size=left.shape[2:], mode="nearest-exact")[:, 0].bool()[order]
    pixels = [
        focal(left[b : b + 1, :, y : y + 1, x : x + 1], label[b : b + 1, y : y + 1, x : x + 1])
        for b, y, x in (inside & (confidence >= 0.4)).nonzero().tolist()
    ]
    assert 50 < len(pixels) < 0.9 * inside.sum()
    torch.testing.assert_close(run(model, batch)[DECOUPLED], sum(pixels) / inside.sum())


@pytest.mark.parametrize("limit", [0.5, 0.1])
def test_share_is_uniform_and_follows_the_seed(limit):
    """The first argument of the mixture's tail is a mixture of 1s and 0s, and so the share itself."""
    model = guidedmix(lambda_factor=limit)
    hidden = torch.ones(2 * B, model.decode_head.trunk_channels, 1, 1)
    hidden[B:] = 0
    joint = JointPass({}, dict(labeled=[], unlabeled=[]), Step(), B, [], torch.randn(2 * B, 4, 1, 1), aux=hidden)
    shares = []
    model.decode_head_mix.register_forward_pre_hook(lambda _, args: shares.append(args[0].mean().item()))
    with torch.no_grad():
        for _ in range(2):
            torch.manual_seed(1)
            for _ in range(300):
                model.unsup_losses(joint)
    assert shares[:300] == shares[300:]
    shares = torch.tensor(shares[:300])
    assert 0 <= shares.min() < 0.03 * limit and 0.97 * limit < shares.max() < limit
    assert shares.mean().item() == pytest.approx(limit / 2, rel=0.1)
    assert shares.std().item() == pytest.approx(limit / 12**0.5, rel=0.1)


def test_target_gets_no_gradient_and_the_labeled_logits_what_is_subtracted():
    model = guidedmix()
    torch.manual_seed(0)
    hidden = torch.randn(2 * B, model.decode_head.trunk_channels, 1, 1)
    logits = torch.randn(2 * B, 4, 1, 1, requires_grad=True)
    joint = JointPass({}, dict(labeled=[], unlabeled=[]), Step(), B, [], logits, aux=hidden)
    share, order = drawn()
    mixed = model.decode_head_mix(share * hidden[:B] + (1 - share) * hidden[B:][order])
    left = (mixed - share * logits[:B]).detach().requires_grad_()
    focal(left, logits[B:][order].argmax(dim=1)).backward()
    torch.manual_seed(5)
    model.unsup_losses(joint)[DECOUPLED].backward()
    assert (logits.grad[B:] == 0).all()
    assert left.grad.abs().min() > 0
    torch.testing.assert_close(logits.grad[:B], -share * left.grad)


def test_labels_are_computed_for_a_neck_only():
    """The losses use the step's own predictions: what the loop would label would be thrown away."""
    for neck, passes in ((None, 0), (neck_config(), 1)):
        model, calls = guidedmix(neck=neck), []
        batch = batch_of(model)
        model.label_unlabeled = lambda inputs, seen=calls, label=model.label_unlabeled: seen.append(1) or label(inputs)
        run(model, batch)
        assert len(calls) == passes
        assert batch["step"].record["pseudo"].label.shape[0] == B
