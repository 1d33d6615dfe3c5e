"""GuidedMix-Net's losses against a plain computation in the order of the released code, option by option."""

from types import SimpleNamespace

import pytest
import torch
from builders import CROP, build_model, neck_config, semi_batch
from mmengine.structures import PixelData
from torch.nn.functional import binary_cross_entropy_with_logits, cosine_similarity, cross_entropy, interpolate, one_hot

from mmseg_allspark.methods import JointPass, PseudoLabel

B = 3
TEACHER = dict(direction="mixed_teacher", mixed_weight=1.0)
DECOUPLED, CONSISTENCY, MIXED = (f"unsup.decode.loss_{name}" for name in ("decoupled", "consistency", "mixed"))


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


def test_labeled_decoupling_is_added_times_its_share():
    model = guidedmix(with_labeled_decouple=True)
    batch = batch_of(model)
    share, order = drawn()
    labeled, unlabeled, z_l, z_u = plain_parts(model, batch)
    z_m = model.decode_head_mix(share * labeled + (1 - share) * unlabeled[order])
    expected = share * focal(z_m - (1 - share) * z_u[order], z_l.argmax(dim=1))
    torch.testing.assert_close(run(model, batch)["unsup.decode.loss_decoupled_labeled"], expected)


def test_images_are_mixed_before_the_backbone():
    model = guidedmix(mix_level="image", mix_head="shared", lambda_factor=0.4)
    batch = batch_of(model)
    share, order = drawn(0.4)
    *_, z_l, z_u = plain_parts(model, batch)
    mixed = share * batch["inputs"]["labeled"] + (1 - share) * batch["inputs"]["weak"][order]
    z_m = model.decode_head(model.backbone(mixed))
    expected = focal(z_m - share * z_l, z_u[order].argmax(dim=1))
    torch.testing.assert_close(run(model, batch)[DECOUPLED], expected, rtol=1e-4, atol=1e-5)


def test_mitrans_stands_before_the_tail_of_the_mixture():
    model = guidedmix(mitrans=dict(channels=7))
    batch = batch_of(model)
    share, order = drawn()
    labeled, unlabeled, z_l, z_u = plain_parts(model, batch)
    z_m = model.decode_head_mix(model.mitrans(share * labeled + (1 - share) * unlabeled[order]))
    torch.testing.assert_close(run(model, batch)[DECOUPLED], focal(z_m - share * z_l, z_u[order].argmax(dim=1)))


def test_similar_images_are_paired_and_labeled_ones_may_repeat():
    model = guidedmix(pairing="similar")
    batch = batch_of(model)
    batch["inputs"]["weak"][:2] = batch["inputs"]["labeled"][2]  # twice the same labeled image
    share = drawn()[0]
    labeled, unlabeled, z_l, z_u = plain_parts(model, batch)
    deepest = [model.backbone(batch["inputs"][part])[-1].mean(dim=(2, 3)) for part in ("labeled", "weak")]
    nearest = cosine_similarity(deepest[1][:, None], deepest[0][None], dim=2).argmax(dim=1)
    assert nearest[:2].tolist() == [2, 2]
    z_m = model.decode_head_mix(share * labeled[nearest] + (1 - share) * unlabeled)
    expected = focal(z_m - share * z_l[nearest], z_u.argmax(dim=1))
    torch.testing.assert_close(run(model, batch)[DECOUPLED], expected)


def soft_mask(z_m, z_l, share):
    left = (z_m.softmax(dim=1) - share * z_l.softmax(dim=1)).clamp(min=0)
    return left / left.sum(dim=1, keepdim=True)


@pytest.mark.parametrize("loss", ["PixelMSELoss", "PixelCrossEntropyLoss"])
def test_soft_mask_of_the_mixture_teaches_the_plain_prediction(loss):
    model = guidedmix(**TEACHER, unsup_loss=dict(type=loss))
    model.decode_head_mix.conv_seg.weight.data.mul_(30)  # masks that are not uniform
    batch = batch_of(model)
    share, order = drawn()
    labeled, unlabeled, z_l, z_u = plain_parts(model, batch)
    z_m = model.decode_head_mix(share * labeled + (1 - share) * unlabeled[order])
    mask, plain = soft_mask(z_m, z_l, share), z_u[order]
    square = (plain.softmax(dim=1) - mask).square().mean()
    expected = square if loss == "PixelMSELoss" else cross_entropy(plain, mask.argmax(dim=1))
    losses = run(model, batch)
    torch.testing.assert_close(losses[CONSISTENCY], expected, rtol=1e-4, atol=1e-6)
    truth = torch.cat([sample.gt_sem_seg.data for sample in batch["data_samples"]["labeled"]])
    truth = interpolate(truth[:, None].float(), size=z_m.shape[2:], mode="nearest-exact")[:, 0].long()
    of_truth = cross_entropy(z_m, truth, ignore_index=255, reduction="none").mean()
    mixed = share * of_truth + (1 - share) * cross_entropy(z_m, plain.argmax(dim=1))
    torch.testing.assert_close(losses[MIXED], mixed)


def test_hard_mask_leaves_out_what_may_come_from_the_labeled_image():
    model = guidedmix(**TEACHER, decouple="hard", unsup_loss=dict(type="PixelCrossEntropyLoss"))
    model.decode_head_mix.conv_seg.weight.data.mul_(30)
    batch = batch_of(model)
    share, order = drawn()
    labeled, unlabeled, z_l, z_u = plain_parts(model, batch)
    mixed = model.decode_head_mix(share * labeled + (1 - share) * unlabeled[order]).argmax(dim=1)
    plain, truth = z_u[order], torch.cat([sample.gt_sem_seg.data for sample in batch["data_samples"]["labeled"]])
    truth = interpolate(truth[:, None].float(), size=mixed.shape[1:], mode="nearest-exact")[:, 0].long()
    mask = mixed.clone()
    for index in range(mask.numel()):
        if mixed.flatten()[index] == truth.flatten()[index] != plain.argmax(dim=1).flatten()[index]:
            mask.flatten()[index] = 255
    assert 0.02 < (mask == 255).float().mean() < 0.9
    expected = cross_entropy(plain, mask, ignore_index=255, reduction="sum") / mask.numel()
    torch.testing.assert_close(run(model, batch)[CONSISTENCY], expected)


def test_unsure_pixels_and_padding_do_not_count():
    model = guidedmix(conf_thresh=0.4, mask_padding=True)
    batch = batch_of(model)
    valid = torch.ones(B, CROP, CROP, dtype=torch.bool)
    valid[0, 30:], valid[1, :, 40:] = False, False
    for sample, one in zip(batch["data_samples"]["unlabeled"], valid, strict=True):
        sample.valid = PixelData(data=one[None])
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


def joint_of(model, seed=0):
    """A joint pass of logits that are leaves, one pixel large."""
    torch.manual_seed(seed)
    hidden = torch.randn(2 * B, model.decode_head.trunk_channels, 1, 1)
    logits = torch.randn(2 * B, 4, 1, 1, requires_grad=True)
    pseudo = PseudoLabel(logits[B:], logits[B:].argmax(1), torch.ones(B, 1, 1))
    return JointPass({}, {}, B, [], logits, pseudo, 1.0, hidden)


@pytest.mark.parametrize("limit", [0.5, 0.1])
def test_share_is_uniform_and_follows_the_seed(limit):
    model = guidedmix(lambda_factor=limit)
    joint = joint_of(model)
    with torch.no_grad():
        sequences = []
        for _ in range(2):
            torch.manual_seed(1)
            sequences.append([model._mix(joint).share for _ in range(500)])
    shares = torch.tensor(sequences[0])
    assert sequences[0] == sequences[1]
    assert 0 <= shares.min() < 0.02 * limit and 0.98 * limit < shares.max() < limit
    assert shares.mean().item() == pytest.approx(limit / 2, rel=0.1)
    assert shares.std().item() == pytest.approx(limit / 12**0.5, rel=0.1)


def test_target_gets_no_gradient_and_the_labeled_logits_what_is_subtracted():
    model = guidedmix()
    joint = joint_of(model)
    torch.manual_seed(5)
    mixture = model._mix(joint)
    left = (mixture.logits - mixture.share * joint.labeled_logits).detach().requires_grad_()
    focal(left, joint.unlabeled_logits[mixture.unlabeled].argmax(dim=1)).backward()
    torch.manual_seed(5)
    model.unsup_losses(joint)[DECOUPLED].backward()
    assert (joint.logits.grad[B:] == 0).all()
    assert left.grad.abs().min() > 0
    torch.testing.assert_close(joint.logits.grad[:B], -mixture.share * left.grad)


def test_mask_gets_no_gradient_when_the_mixture_teaches():
    model = guidedmix(direction="mixed_teacher", mix_head="shared", unsup_loss=dict(type="PixelMSELoss"))
    joint = joint_of(model)
    object.__setattr__(joint, "hidden", joint.hidden.requires_grad_())
    sample = SimpleNamespace(gt_sem_seg=SimpleNamespace(data=torch.zeros(1, 1, 1)))
    joint.data_samples["labeled"] = [sample] * B
    model.unsup_losses(joint)[CONSISTENCY].backward()
    assert joint.hidden.grad is None and (joint.logits.grad[:B] == 0).all()
    assert joint.logits.grad[B:].abs().min() > 0


def test_without_a_labeled_share_the_labeled_images_do_not_matter():
    model = guidedmix(lambda_factor=1e-6)
    first, second = batch_of(model, seed=0), batch_of(model, seed=0)
    second["inputs"]["labeled"] = torch.randn(B, 3, CROP, CROP)
    losses = [run(model, batch)[DECOUPLED] for batch in (first, second)]
    torch.testing.assert_close(*losses)
    _, unlabeled, _, z_u = plain_parts(model, first)
    order = drawn()[1]
    torch.testing.assert_close(losses[0], focal(model.decode_head_mix(unlabeled[order]), z_u[order].argmax(dim=1)))


def test_weights_and_scale():
    batch = batch_of(guidedmix())
    once, twice = (run(guidedmix(unsup_weight=weight), batch)[DECOUPLED] for weight in (1.0, 2.0))
    torch.testing.assert_close(2 * once, twice)
    assert run(guidedmix(), batch | dict(unsup_scale=0.0))[DECOUPLED] == 0


@pytest.mark.parametrize("level", ["feature", "image"])
def test_after_allsparks_neck(level):
    model = guidedmix(neck=neck_config(), mix_level=level)
    batch = batch_of(model)
    before = model.neck.memory.enqueued.clone()
    torch.manual_seed(5)
    losses = model.train()(**batch, mode="loss")
    model.parse_losses(losses)[0].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    per_class = model.neck.memory.enqueued - before
    assert per_class.sum() == B * model.neck.in_channels  # written once, by the unlabeled images
