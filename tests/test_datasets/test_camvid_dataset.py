import numpy as np
import pytest
from mmseg.registry import DATASETS

from mmseg_allspark.datasets import CamVidDataset
from mmseg_allspark.datasets.transforms import DataFileError

PIPELINE = [dict(type="LoadImage"), dict(type="LoadSegMask"), dict(type="PackSemiInputs")]
TRAIN = dict(img_path="leftImg/train", seg_map_path="labels/train")


def test_classes_and_palette():
    meta = CamVidDataset.METAINFO
    assert len(meta["classes"]) == len(set(meta["classes"])) == 11
    assert len(meta["palette"]) == len(set(map(tuple, meta["palette"]))) == 11
    assert meta["classes"][3] == "road" and meta["palette"][3] == [128, 64, 128]
    assert DATASETS.get("CamVidDataset") is CamVidDataset


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_finds_its_suffix_and_reads_a_list(tmp_path, save_camvid, suffix):
    root = save_camvid(tmp_path, suffix=suffix)
    (root / "list.txt").write_text("t02\nt00\n")
    dataset = CamVidDataset(data_root=str(root), ann_file="list.txt", data_prefix=TRAIN, pipeline=PIPELINE)
    metas = [dataset[index]["data_samples"].metainfo for index in range(2)]
    assert [meta["img_path"].rsplit("/", 1)[1] for meta in metas] == [f"t02{suffix}", f"t00{suffix}"]
    assert metas[0]["seg_map_path"].endswith("labels/train/t02.png")


def test_whole_folder_is_sorted(tmp_path, save_camvid):
    root = save_camvid(tmp_path, train=5)
    dataset = CamVidDataset(data_root=str(root), data_prefix=TRAIN)
    names = [dataset.get_data_info(index)["img_path"] for index in range(len(dataset))]
    assert len(names) == 5 and names == sorted(names)


def test_class_count_reaches_the_mask_check(tmp_path, save_camvid, save_mask):
    root = save_camvid(tmp_path)
    save_mask(root / "labels/train/t01.png", np.full((12, 16), 11, np.uint8))  # SegNet's void
    dataset = CamVidDataset(data_root=str(root), data_prefix=TRAIN, pipeline=PIPELINE)
    assert dataset[0]["data_samples"].gt_sem_seg.data.max() == 255
    with pytest.raises(DataFileError, match=r"t01\.png.*labels 11 .*outside 0\.\.10 .*metainfo\.classes"):
        dataset[1]


def test_subset_of_classes_is_mapped_and_counted(tmp_path, save_camvid):
    root = save_camvid(tmp_path)
    metainfo = dict(classes=("road", "sky"))
    dataset = CamVidDataset(data_root=str(root), data_prefix=TRAIN, pipeline=PIPELINE, metainfo=metainfo)
    assert dataset[0]["data_samples"].gt_sem_seg.data.unique().tolist() == [0, 1, 255]
    assert dataset.get_data_info(0)["num_classes"] == 2


@pytest.mark.parametrize(("key", "value"), [("data_prefix", dict(img_path="none")), ("ann_file", "none.txt")])
def test_missing_folder_or_list_names_it(tmp_path, save_camvid, key, value):
    root = save_camvid(tmp_path)
    config = dict(data_root=str(root), data_prefix=TRAIN, ann_file="")
    with pytest.raises(FileNotFoundError, match=f"{root}/none.*prepare/camvid.py"):
        CamVidDataset(**{**config, key: value})


def test_empty_list_or_folder_is_named(tmp_path, save_camvid):
    root = save_camvid(tmp_path)
    (root / "empty.txt").touch()
    with pytest.raises(ValueError, match=r"empty\.txt is empty"):
        CamVidDataset(data_root=str(root), ann_file="empty.txt", data_prefix=TRAIN)
    with pytest.raises(ValueError, match=r"leftImg/train holds no file ending in \.bmp"):
        CamVidDataset(data_root=str(root), data_prefix=TRAIN, img_suffix=".bmp")
