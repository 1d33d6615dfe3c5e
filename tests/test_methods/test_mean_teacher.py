"""Mean Teacher with CutMix against a plain computation."""

import pytest
import torch
from builders import CROP, Labeler, build_model, loader_config, logits_of, model_config, semi_batch, train, write_data
from torch.nn.functional import cross_entropy

from mmseg_allspark.labels import CutMix
from mmseg_allspark.methods import Step

OPTIONS = dict(type="MeanTeacherSegmentor", neck=None)


def mean_teacher(**changes):
    return build_model(**OPTIONS | changes)


@pytest.mark.parametrize("per", ["batch", "image"])
@pytest.mark.parametrize("consistency", ["mse", "ce"])
def test_loss_is_that_of_the_release(consistency, per):
    """Teacher logits mixed as the images are; a pixel's weight is the share of sure pixels, padding left out."""
    confidence = dict(type="ConfidenceThreshold", threshold=0.35, per=per)
    model = mean_teacher(consistency=consistency, confidence=confidence).eval()
    batch = semi_batch(model, valid=torch.arange(CROP) < torch.tensor([40, 41])[:, None, None])
    teacher = torch.randn(2, 4, CROP, CROP)
    valid = torch.cat([sample.valid.data for sample in batch["data_samples"]["unlabeled"]])
    teacher[:, 0][~valid] = 100.0  # the teacher is sure of padding; nobody asks it
    sure = teacher.softmax(1).amax(1) >= 0.35
    share = torch.stack([sure[image][valid[image]].float().mean() for image in range(2)])
    assert 0.3 < share.min() < share.max() < 1
    if per == "batch":
        share = sure[valid].float().mean().expand(2)
    mix = CutMix(prob=1.0, area=(0.5, 0.5), aspect=(0.5, 2.0))
    weight = share[:, None, None].expand(2, CROP, CROP)
    torch.manual_seed(3)
    images, target, weight, valid = mix([batch["inputs"]["weak"], teacher, weight, valid])
    logits = logits_of(model, torch.cat([batch["inputs"]["labeled"], images]))[2:]
    if consistency == "mse":
        loss = (logits.softmax(1) - target.softmax(1)).square().sum(1)
    else:
        loss = cross_entropy(logits, target.argmax(1), reduction="none")
    torch.manual_seed(3)
    losses = model(**batch | dict(step=Step(unsup_scale=0.5, labelers=(Labeler(teacher),))), mode="loss")
    (unsup,) = (value for name, value in losses.items() if name.startswith("unsup"))
    torch.testing.assert_close(unsup, 0.5 * (loss * weight * valid).sum() / valid.sum())


def test_a_teacher_has_to_label_and_cutmix_needs_two_images(tmp_path):
    data = write_data(tmp_path / "data", unlabeled=3)
    hooks = [dict(type="MeanTeacherHook")]
    options = dict(model=model_config(**OPTIONS, mask_padding=False), custom_hooks=hooks)
    with pytest.raises(ValueError, match="needs train_cfg.pseudo_labels_from='ema', not 'model'"):
        train(data, tmp_path / "a", loop=dict(max_iters=1), **options)
    loop = dict(max_iters=2, pseudo_labels_from="ema")
    one = dict(loop, unlabeled_dataloader=loader_config(data, "unlabeled", batch_size=1))
    with pytest.raises(ValueError, match=r"unlabeled_dataloader.batch_size=1.*cutmix"):
        train(data, tmp_path / "b", loop=one, **options)
    assert train(data, tmp_path / "c", loop=loop, **options).iter == 2
    assert "has one image, which model.cutmix cannot mix" in next(tmp_path.glob("c/*/*.log")).read_text()
