"""What methods to come build on: a second network, several teachers, loaded labels, extras of labels, mixing."""

import numpy as np
import pytest
import torch
from builders import (
    CROP,
    WIDTHS,
    Labeler,
    assert_same_state,
    build_model,
    model_config,
    sample_with_mask,
    semi_batch,
)
from mmengine.structures import PixelData
from mmseg.registry import TRANSFORMS
from PIL import Image
from test_engine.recording import record

from mmseg_allspark.datasets.transforms import DataFileError
from mmseg_allspark.labels import CutMix, PseudoLabel, loaded_labels
from mmseg_allspark.methods import SemiSegmentor, TwoNetworkSegmentor
from mmseg_allspark.models import TeacherAverage
from mmseg_allspark.utils.training_only import training_only_names
from mmseg_allspark.utils.wrappers import averages

META = [dict(ori_shape=(CROP, CROP), img_shape=(CROP, CROP))]


def two_networks(**changes):
    config = model_config(**changes)
    config.pop("type")
    model = TwoNetworkSegmentor(**config)
    model.init_weights()
    return model


@pytest.mark.parametrize("evaluated", ["first", "second", "mean"])
def test_evaluated_network(evaluated):
    model = two_networks(neck=None, evaluated=evaluated).eval()
    images = torch.randn(1, 3, CROP, CROP)
    with torch.no_grad():
        first = SemiSegmentor.encode_decode(model, images, META).softmax(dim=1)
        second = model.second.encode_decode(images, META).softmax(dim=1)
        got = model.encode_decode(images, META).softmax(dim=1)
    assert not torch.allclose(first, second)
    torch.testing.assert_close(got, dict(first=first, second=second, mean=(first + second) / 2)[evaluated])


def test_second_network_has_its_own_weights_and_changes_and_is_for_training_only():
    model = two_networks(second=dict(decode_head=dict(channels=8)))
    assert model.second.decode_head.conv_seg.in_channels == 8
    assert model.with_neck and not model.second.with_neck  # AllSpark's takes labels of the first
    names = {name for name in model.state_dict() if name.startswith("second.")}
    assert names and names <= training_only_names(model)
    assert not names & training_only_names(two_networks(evaluated="mean"))
    first, second = (net.backbone.state_dict() for net in (model, model.second))
    assert first.keys() == second.keys()
    assert not any(torch.equal(first[name], second[name]) for name in first if first[name].dim() == 4)


class Extra(SemiSegmentor):
    """Labels with a map of its own, and the first labeled image in place of all."""

    def mix_labeled(self, inputs, data_samples, step):
        inputs = inputs | dict(labeled=inputs["labeled"][:1])
        return inputs, data_samples | dict(labeled=data_samples["labeled"][:1])

    def label(self, inputs, data_samples, step):
        pseudo = super().label(inputs, data_samples, step)
        pseudo.extras["brightness"] = inputs["weak"].mean(dim=1)
        return pseudo

    def unsup_losses(self, joint):
        self.seen = joint
        return super().unsup_losses(joint)


def test_extras_of_labels_are_mixed_with_the_images_and_labeled_images_can_change():
    config = model_config(neck=None, cutmix=dict(prob=1.0))
    config.pop("type")
    model = Extra(**config).train()
    batch = semi_batch(model, labeled=2, unlabeled=3)
    model(**batch, mode="loss")
    joint = model.seen
    assert joint.num_labeled == 1 and joint.logits.shape[0] == 4
    assert not torch.equal(joint.images, batch["inputs"]["weak"])
    torch.testing.assert_close(joint.pseudo.extras["brightness"], joint.images.mean(dim=1))
    before = batch["step"].record["pseudo"]
    torch.testing.assert_close(before.extras["brightness"], batch["inputs"]["weak"].mean(dim=1))
    assert torch.equal(joint.pseudo.thin(4).extras["brightness"], joint.pseudo.extras["brightness"][:, ::4, ::4])


@pytest.mark.parametrize("partners", [[2, 0, 0], torch.tensor([2, 0, 0])])
def test_cutmix_pastes_from_the_chosen_partner(partners):
    images = torch.arange(3.0)[:, None, None].expand(3, 8, 8)
    mixed = CutMix(prob=1.0, area=(0.3, 0.3))([images], partners=partners)[0]
    assert [set(image.unique().tolist()) for image in mixed] == [{0.0, 2.0}, {1.0, 0.0}, {2.0, 0.0}]


def sample(label, confidence=None):
    sample = sample_with_mask(None)
    sample.pseudo_seg_map = PixelData(data=torch.tensor(label, dtype=torch.uint8)[None])
    if confidence is not None:
        sample.pseudo_confidence = PixelData(data=torch.tensor(confidence, dtype=torch.uint8)[None])
    return sample


def test_loaded_labels_have_the_confidence_that_was_read():
    logits, confidence = loaded_labels([sample([[0, 3, 255]], [[255, 204, 255]])], num_classes=4)
    torch.testing.assert_close(confidence, torch.tensor([[[1.0, 0.8, 0.0]]]))
    probabilities = logits.softmax(dim=1)[0, :, 0]
    expected = torch.tensor([[1.0, 0.2 / 3, 0.25], [0.0, 0.2 / 3, 0.25], [0.0, 0.2 / 3, 0.25], [0.0, 0.8, 0.25]])
    torch.testing.assert_close(probabilities, expected, atol=2e-6, rtol=0)
    with pytest.raises(KeyError, match="LoadPseudoLabel"):
        loaded_labels([sample_with_mask(None)], num_classes=4)


def test_a_loaded_label_stays_itself_at_any_confidence():
    logits, confidence = loaded_labels([sample([[15, 15, 15]], [[1, 12, 13]])], num_classes=21)
    assert (logits.argmax(dim=1) == 15).all() and (confidence > 0).all()


def test_a_pixel_of_a_loaded_label_counts_with_its_confidence():
    model = build_model(neck=None, confidence=dict(type="ConfidenceThreshold", threshold=0.5)).train()
    batch = semi_batch(model, unlabeled=1, labels_from="data")
    label = torch.randint(0, 4, (CROP, CROP)).tolist()
    confidence = torch.full((CROP, CROP), 204)
    confidence[0] = 51
    batch["data_samples"]["unlabeled"] = [sample(label, confidence.tolist())]
    model(**batch, mode="loss")
    pseudo = batch["step"].record["pseudo"]
    assert pseudo.label[0].tolist()[1:] == label[1:]
    torch.testing.assert_close(pseudo.weight[0, 1:], torch.full((CROP - 1, CROP), 0.8))
    assert pseudo.weight[0, 0].max() == 0  # under the threshold


def pipeline(folder, **options):
    steps = [
        dict(type="LoadImage"),
        dict(type="LoadPseudoLabel", folder=str(folder / "labels"), num_classes=3, **options),
        dict(type="RandomFlip", prob=1.0),
        dict(type="PadAndMark", size=(6, 5), pad_val=dict(img=0, seg=255)),
        dict(type="PackSemiInputs"),
    ]
    return [TRANSFORMS.build(step) for step in steps]


def test_loaded_labels_are_resized_and_cropped_with_their_image(tmp_path):
    rows = np.arange(60, dtype=np.uint8)[:, None].repeat(80, axis=1) // 20
    Image.fromarray(np.stack([rows * 100] * 3, axis=-1)).save(tmp_path / "street.png")
    for camera, labels in (("a", rows), ("b", 0 * rows)):
        (tmp_path / "labels" / camera).mkdir(parents=True)
        Image.fromarray(labels).save(tmp_path / "labels" / camera / "street.png")
    (tmp_path / "a").mkdir()
    (tmp_path / "street.png").rename(tmp_path / "a" / "street.png")
    results = dict(img_path=str(tmp_path / "a" / "street.png"))
    for step in (
        dict(type="LoadImage"),
        dict(type="LoadPseudoLabel", folder=str(tmp_path / "labels"), num_classes=3),
        dict(type="RandomResizeLongSide", ratio_range=(1.4, 1.6)),
        dict(type="RandomCrop", crop_size=(50, 64)),
        dict(type="PadAndMark", size=(64, 64), pad_val=dict(img=0, seg=255)),
    ):
        results = TRANSFORMS.build(step)(results)
    image, label = results["img"][..., 0], results["pseudo_seg_map"]
    inside = results["valid"].astype(bool)
    assert label.shape == (64, 64) and (label[~inside] == 255).all()
    assert (np.abs(image[inside] - label[inside].astype(int) * 100) < 60).mean() > 0.95


def load(folder, **options):
    results = dict(img_path=str(folder / "street.jpg"))
    for step in pipeline(folder, **options):
        results = step(results)
    return results["data_samples"]


def test_label_files_follow_their_image(tmp_path):
    label = np.array([[0, 1, 2, 255]] * 5, dtype=np.uint8)
    Image.fromarray(np.zeros((5, 4, 3), np.uint8)).save(tmp_path / "street.jpg")
    for name, values in (("labels", label), ("sure", label * 60)):
        (tmp_path / name).mkdir()
        Image.fromarray(values).save(tmp_path / name / "street.png")
    got = load(tmp_path, confidence_folder=str(tmp_path / "sure"))
    assert got.pseudo_seg_map.data[0, 0].tolist() == [255, 2, 1, 0, 255, 255]  # turned, then padded
    assert got.pseudo_confidence.data[0, 0, :4].tolist() == (label[0, ::-1] * 60).astype(np.uint8).tolist()
    assert "gt_sem_seg" not in got
    assert "pseudo_confidence" not in load(tmp_path)
    (tmp_path / "labels" / "street.png").unlink()
    with pytest.raises((DataFileError, FileNotFoundError), match=r"labels/street\.png"):
        load(tmp_path)


def test_a_second_teacher_rests_as_the_student_was_initialised(data, tmp_path):
    """Until its epoch begins; whose turn it is then, and a resume: test_psmt.py."""
    hooks, loop = [dict(type="MeanTeacherHook", num_teachers=2)], dict(max_iters=1, pseudo_labels_from="ema")
    runner, log = record(data, tmp_path, hooks=hooks, loop=loop, model=model_config(neck=None))
    assert_same_state(dict(averages(runner)[1].module.state_dict()), log.states[0])


def test_a_teacher_shares_what_it_does_not_follow():
    model = two_networks(neck=None)
    model.second.shared_with_teacher = True
    teacher = TeacherAverage(model, momentum=0.3)
    assert teacher.module.second is model.second
    assert teacher.module.decode_head is not model.decode_head
    assert all(parameter.requires_grad for parameter in model.second.parameters())
    before = model.second.decode_head.conv_seg.weight.clone()
    teacher.update_parameters(model)
    teacher.update_parameters(model)
    assert torch.equal(model.second.decode_head.conv_seg.weight, before)


def test_pseudo_label_survives_its_maps():
    maps = dict(
        logits=torch.randn(1, 4, 3, 3), label=torch.zeros(1, 3, 3, dtype=torch.int64), weight=torch.ones(1, 3, 3)
    )
    pseudo = PseudoLabel(**maps, extras=dict(other=torch.ones(1, 2, 3, 3)))
    assert list(pseudo.maps()) == ["logits", "label", "weight", "other"]
    again = PseudoLabel.from_maps(pseudo.maps())
    assert again.extras.keys() == {"other"} and again.valid is None and again.label is pseudo.label


def test_labels_are_the_mean_of_all_teachers():
    model = build_model(neck=None)
    first, second = torch.randn(2, 2, 4, CROP, CROP)
    pseudo = model.label(*semi_batch(model).values())  # of the model itself
    assert pseudo.label.shape == (2, CROP, CROP)
    batch = semi_batch(model, labelers=(Labeler(first), Labeler(second)))
    got = model.label(batch["inputs"], batch["data_samples"], batch["step"]).logits.softmax(dim=1)
    torch.testing.assert_close(got, (first.softmax(dim=1) + second.softmax(dim=1)) / 2)


def test_the_training_pass_shares_no_cast_of_the_label_pass(monkeypatch):
    """Up to torch 2.9 a cast made without gradient would be taken again by the pass that needs one."""
    order = []
    head = dict(type="FCNHead", in_channels=WIDTHS[-1], channels=8, num_classes=4)  # switches autocast off nowhere
    model = build_model(neck=None, decode_head=head).train()
    monkeypatch.setattr(torch, "clear_autocast_cache", lambda: order.append("cleared"))
    model.backbone.register_forward_hook(lambda *_: order.append(torch.is_grad_enabled()))
    model(**semi_batch(model), mode="loss")
    assert "cleared" in order[order.index(False) : order.index(True)]


def test_unknown_pixels_of_loaded_labels_count_nowhere():
    model = build_model(neck=None, confidence=dict(type="ClassQuantileThreshold", momentum=1.0)).train()
    batch = semi_batch(model, unlabeled=1, labels_from="data")
    label = torch.full((CROP, CROP), 255)
    label[: CROP // 2] = 2
    batch["data_samples"]["unlabeled"] = [sample(label.tolist())]
    model(**batch, mode="loss")
    assert model.confidence.threshold[0] == 0.5 and model.confidence.threshold[2] != 0.5  # class 0 was not seen
    assert batch["step"].record["pseudo"].valid.sum() == CROP * (CROP // 2)
