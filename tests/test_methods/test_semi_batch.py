import pytest
import torch
from builders import CROP, sample_with_mask
from mmseg.registry import MODELS

from mmseg_allspark.methods import SemiBatch, SemiDataPreprocessor, Step


def preprocessor(**changes):
    config = dict(type="SegDataPreProcessor", mean=[1.0, 2.0, 3.0], std=[2.0] * 3, bgr_to_rgb=True, size_divisor=1)
    return SemiDataPreprocessor(config | changes)


def collated(number=2, views=None, side=CROP, masks=True):
    """What the loaders give: lists of uint8 images and their samples."""

    def images():
        return [torch.randint(0, 256, (3, side, side), dtype=torch.uint8) for _ in range(number)]

    mask = torch.randint(0, 4, (side, side)) if masks else None
    samples = [sample_with_mask(mask) for _ in range(number)]
    return dict(inputs=images() if views is None else {name: images() for name in views}, data_samples=samples)


def expected(images):
    """RGB, normalised."""
    shift, scale = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1), 2.0
    return torch.stack([(image.flip(0).float() - shift) / scale for image in images])


def test_both_parts_are_normalised_once():
    labeled, unlabeled = collated(2), collated(3, views=("weak", "strong"))
    images = dict(labeled=list(labeled["inputs"]), **{name: list(v) for name, v in unlabeled["inputs"].items()})
    batch = preprocessor()(dict(labeled=labeled, unlabeled=unlabeled, step=Step(unsup_scale=0.5)), training=True)
    assert isinstance(batch, SemiBatch)
    assert batch["step"].unsup_scale == 0.5
    assert batch["inputs"].keys() == images.keys()
    for name, value in images.items():
        torch.testing.assert_close(batch["inputs"][name], expected(value))
    assert {name: len(part) for name, part in batch["data_samples"].items()} == dict(labeled=2, unlabeled=3)
    assert preprocessor()(batch, training=True) is batch


def test_masks_of_unlabeled_images_are_padded_once_whatever_the_number_of_views():
    """A zoo config pads here: its preprocessor has the size of the crop."""
    unlabeled = collated(views=("weak", "strong", "stronger"), side=20)
    masks = [sample.gt_sem_seg.data.clone() for sample in unlabeled["data_samples"]]
    size = dict(size=(32, 48), size_divisor=None)
    batch = preprocessor(**size)(dict(labeled=collated(side=20), unlabeled=unlabeled), training=True)
    assert {tuple(view.shape[2:]) for view in batch["inputs"].values()} == {(32, 48)}
    for sample, mask in zip(batch["data_samples"]["unlabeled"], masks, strict=True):
        assert sample.gt_sem_seg.shape == (32, 48)
        assert torch.equal(sample.gt_sem_seg.data[:, :20, :20], mask)
        assert (sample.gt_sem_seg.data[:, 20:] == 255).all()


def test_one_tensor_is_the_view_named_weak_and_plain_batches_go_to_the_wrapped_preprocessor():
    batch = preprocessor()(dict(labeled=collated(), unlabeled=collated()), training=True)
    assert set(batch["inputs"]) == {"labeled", "weak"}
    plain = collated()
    images = list(plain["inputs"])
    out = preprocessor()(plain)
    torch.testing.assert_close(out["inputs"], expected(images))
    assert not isinstance(out, SemiBatch)


def test_half_a_batch_is_an_error():
    with pytest.raises(KeyError, match=r"needs 'labeled' and 'unlabeled', got \['labeled'\]"):
        preprocessor()(dict(labeled=collated()), training=True)


def test_accepts_a_built_preprocessor_and_has_no_state():
    inner = MODELS.build(dict(type="SegDataPreProcessor", size_divisor=1))
    module = SemiDataPreprocessor(inner)
    assert module.preprocessor is inner
    assert module.state_dict() == {}
