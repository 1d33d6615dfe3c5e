import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmseg.registry import TRANSFORMS

from mmseg_allspark.datasets.transforms import LoadSegMask, MultiView, PackSemiInputs

from .conftest import picture

STRONG = [dict(type="RandomColorJitter", prob=1.0), dict(type="RandomGaussianBlur", prob=1.0)]


def _sample(seed: int = 0, **more: object) -> dict:
    image = picture(seed=seed)
    return dict(
        img=image,
        img_path=f"{seed}.jpg",
        ori_shape=(24, 32),
        img_shape=image.shape[:2],
        pad_shape=image.shape,
        scale_factor=(0.5, 0.5),
        flip=True,
        flip_direction="horizontal",
        seg_fields=[],
        **more,
    )


def test_views_share_geometry_and_weak_is_untouched():
    sample = _sample()
    image = sample["img"].copy()
    packed = PackSemiInputs()(MultiView(dict(weak=[], strong=STRONG))(sample))
    weak, strong = packed["inputs"]["weak"], packed["inputs"]["strong"]
    assert torch.equal(weak, torch.from_numpy(image.transpose(2, 0, 1).copy()))
    assert strong.shape == weak.shape and strong.dtype == weak.dtype == torch.uint8
    assert not torch.equal(weak, strong)


def test_without_views_as_pack_seg_inputs():
    sample = _sample(gt_seg_map=np.ones((12, 16), np.uint8))
    ours = PackSemiInputs()(dict(sample))
    theirs = TRANSFORMS.build(dict(type="PackSegInputs"))(dict(sample))
    assert torch.equal(ours["inputs"], theirs["inputs"])
    assert ours["data_samples"].metainfo == theirs["data_samples"].metainfo
    wanted = {"img_path", "ori_shape", "img_shape", "pad_shape", "scale_factor", "flip"}
    assert wanted <= set(ours["data_samples"].metainfo)
    assert torch.equal(ours["data_samples"].gt_sem_seg.data, theirs["data_samples"].gt_sem_seg.data)


def test_collation_of_views_with_and_without_mask(tmp_path, save_mask):
    load, views, pack = LoadSegMask(optional=True), MultiView(dict(weak=[], strong=STRONG)), PackSemiInputs()
    mask = save_mask(tmp_path / "m.png", height=24, width=32)
    samples = [_sample(0, seg_map_path=str(mask)), _sample(1, seg_map_path=str(tmp_path / "none.png"))]
    batch = pseudo_collate([pack(views(load(sample))) for sample in samples])
    assert set(batch["inputs"]) == {"weak", "strong"}
    assert all([tuple(t.shape) for t in tensors] == [(3, 12, 16)] * 2 for tensors in batch["inputs"].values())
    assert ["gt_sem_seg" in sample for sample in batch["data_samples"]] == [True, False]
    assert "seg_map_path" not in batch["data_samples"][1].metainfo


@pytest.mark.parametrize(
    "step",
    [
        dict(type="RandomFlip", prob=0.0),
        dict(type="RandomResizeLongSide", ratio_range=(1.0, 1.0)),
    ],
)
def test_geometry_in_a_view_is_refused_even_when_it_moved_nothing(step):
    with pytest.raises(ValueError, match="'strong'.*7.jpg.*colours only"):
        MultiView(dict(weak=[], strong=[step]))(_sample(7))
    with pytest.raises(ValueError, match="'weak'"):
        MultiView(dict(strong=STRONG))
