"""The data sets that tools of ours prepare: CamVid with 11 classes, COCO with 81."""

import numpy as np
import pytest
from mmengine.fileio import LocalBackend, register_backend
from mmseg.datasets import COCOStuffDataset, PascalVOCDataset
from mmseg.registry import DATASETS

from mmseg_allspark.datasets import CamVidDataset, COCO81Dataset
from mmseg_allspark.datasets.transforms import DataFileError

PIPELINE = [dict(type="LoadImage"), dict(type="LoadSegMask"), dict(type="PackSemiInputs")]
PREFIX = dict(img_path="leftImg/train", seg_map_path="labels/train")
KINDS = [(CamVidDataset, 11), (COCO81Dataset, 81)]


def test_classes_and_palettes():
    for kind, number in KINDS:
        meta = kind.METAINFO
        assert len(meta["classes"]) == len(set(meta["classes"])) == number
        assert len(meta["palette"]) == len(set(map(tuple, meta["palette"]))) == number
        assert DATASETS.get(kind.__name__) is kind
    camvid, coco = CamVidDataset.METAINFO, COCO81Dataset.METAINFO
    assert camvid["classes"][3] == "road" and camvid["palette"][3] == [128, 64, 128]
    # COCO-Stuff lists the same 80 categories first, in the order of their ids
    assert coco["classes"] == ("background", *COCOStuffDataset.METAINFO["classes"][:80])
    assert coco["palette"][:21] == PascalVOCDataset.METAINFO["palette"]


@pytest.mark.parametrize(
    ("kind", "suffix"), [(CamVidDataset, ".jpg"), (CamVidDataset, ".png"), (COCO81Dataset, ".jpg")]
)
def test_a_list_and_a_folder(tmp_path, save_camvid, kind, suffix):
    root = save_camvid(tmp_path, train=5, suffix=suffix)
    (root / "list.txt").write_text("t02\nt00\n")
    dataset = kind(data_root=str(root), ann_file="list.txt", data_prefix=PREFIX, pipeline=PIPELINE)
    metas = [dataset[index]["data_samples"].metainfo for index in range(2)]
    assert [meta["img_path"].rsplit("/", 1)[1] for meta in metas] == [f"t02{suffix}", f"t00{suffix}"]
    assert metas[0]["seg_map_path"].endswith("labels/train/t02.png")
    assert dataset[0]["data_samples"].gt_sem_seg.data.unique().tolist() == [0, 1, 2, 3, 4, 255]
    dataset = kind(data_root=str(root), data_prefix=PREFIX)
    names = [dataset.get_data_info(index)["img_path"] for index in range(len(dataset))]
    assert len(names) == 5 and names == sorted(names)


def test_images_may_be_in_a_storage_of_their_own(tmp_path, save_camvid):
    root = save_camvid(tmp_path, train=2)

    @register_backend("store", prefixes="store", force=True)
    class Storage(LocalBackend):
        def exists(self, filepath):
            return super().exists(root / filepath.removeprefix("store://"))

        def list_dir_or_file(self, dir_path, *options):
            return super().list_dir_or_file(root / dir_path.removeprefix("store://"), *options)

    storage = dict(data_root="store://", backend_args=dict(backend="store"))
    assert len(CamVidDataset(data_prefix=PREFIX, **storage)) == 2
    with pytest.raises(FileNotFoundError, match="image folder .*nowhere does not exist"):
        CamVidDataset(data_prefix=dict(img_path="nowhere"), **storage)


@pytest.mark.parametrize(("kind", "number"), KINDS)
def test_class_count_reaches_the_mask_check(tmp_path, save_camvid, save_mask, kind, number):
    root = save_camvid(tmp_path, suffix=".jpg")
    save_mask(root / "labels/train/t01.png", np.full((12, 16), number, np.uint8))
    dataset = kind(data_root=str(root), data_prefix=PREFIX, pipeline=PIPELINE)
    assert dataset[0]["data_samples"].gt_sem_seg.data.max() == 255
    with pytest.raises(DataFileError, match=rf"t01\.png.*labels {number} .*outside 0\.\.{number - 1} .*metainfo"):
        dataset[1]


@pytest.mark.parametrize(("kind", "tool"), [(CamVidDataset, "camvid"), (COCO81Dataset, "coco")])
def test_what_is_missing_or_empty_is_named(tmp_path, save_camvid, kind, tool):
    root = save_camvid(tmp_path)
    (root / "empty.txt").touch()
    for change, error, words in (
        (dict(data_prefix=dict(img_path="none")), FileNotFoundError, f"folder {root}/none.*prepare/{tool}.py"),
        (dict(ann_file="none.txt"), FileNotFoundError, f"list {root}/none.txt.*prepare/{tool}.py"),
        (dict(ann_file="empty.txt"), ValueError, r"empty\.txt is empty"),
        (dict(img_suffix=".bmp"), ValueError, r"leftImg/train holds no file ending in \.bmp"),
    ):
        with pytest.raises(error, match=words):
            kind(**(dict(data_root=str(root), data_prefix=PREFIX) | change))
