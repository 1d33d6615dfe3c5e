import numpy as np
import pytest
from mmseg.datasets import COCOStuffDataset, PascalVOCDataset
from mmseg.registry import DATASETS

from mmseg_allspark.datasets.coco81 import COCO81Dataset
from mmseg_allspark.datasets.transforms import DataFileError

PIPELINE = [dict(type="LoadImage"), dict(type="LoadSegMask"), dict(type="PackSemiInputs")]
PREFIX = dict(img_path="train2017", seg_map_path="masks/train2017")
IDS = ("000000000009", "000000000025", "000000000030")


@pytest.fixture
def root(tmp_path, save_image, save_mask):
    for name in IDS:
        save_image(tmp_path / f"train2017/{name}.jpg")
        save_mask(tmp_path / f"masks/train2017/{name}.png")
    (tmp_path / "labeled.txt").write_text(f"{IDS[2]}\n{IDS[0]}\n")
    return tmp_path


def test_classes_and_palette():
    meta = COCO81Dataset.METAINFO
    # COCO-Stuff lists the same 80 categories first, in the order of their ids
    assert meta["classes"] == ("background", *COCOStuffDataset.METAINFO["classes"][:80])
    assert len(meta["palette"]) == len(set(map(tuple, meta["palette"]))) == 81
    assert meta["palette"][:21] == PascalVOCDataset.METAINFO["palette"]
    assert DATASETS.get("COCO81Dataset") is COCO81Dataset


def test_reads_a_list_of_ids_and_keeps_background(root):
    dataset = COCO81Dataset(data_root=str(root), ann_file="labeled.txt", data_prefix=PREFIX, pipeline=PIPELINE)
    metas = [dataset[index]["data_samples"].metainfo for index in range(2)]
    assert [meta["img_path"].rsplit("/", 1)[1] for meta in metas] == [f"{IDS[2]}.jpg", f"{IDS[0]}.jpg"]
    assert metas[0]["seg_map_path"].endswith(f"masks/train2017/{IDS[2]}.png")
    assert dataset[0]["data_samples"].gt_sem_seg.data.unique().tolist() == [0, 1, 2, 3, 4, 255]


def test_label_81_is_refused(root, save_mask):
    save_mask(root / f"masks/train2017/{IDS[2]}.png", np.full((12, 16), 81, np.uint8))
    dataset = COCO81Dataset(data_root=str(root), ann_file="labeled.txt", data_prefix=PREFIX, pipeline=PIPELINE)
    with pytest.raises(DataFileError, match=r"labels 81 .*outside 0\.\.80"):
        dataset[0]


@pytest.mark.parametrize(("key", "value"), [("data_prefix", dict(img_path="none")), ("ann_file", "none.txt")])
def test_missing_folder_or_list_names_it(root, key, value):
    config = dict(data_root=str(root), data_prefix=PREFIX, ann_file="labeled.txt")
    with pytest.raises(FileNotFoundError, match=f"{root}/none.*prepare/coco.py"):
        COCO81Dataset(**{**config, key: value})


def test_empty_list_or_folder_is_named(root):
    (root / "empty.txt").touch()
    with pytest.raises(ValueError, match=r"empty\.txt is empty"):
        COCO81Dataset(data_root=str(root), ann_file="empty.txt", data_prefix=PREFIX)
    with pytest.raises(ValueError, match=r"train2017 holds no file ending in \.bmp"):
        COCO81Dataset(data_root=str(root), data_prefix=PREFIX, img_suffix=".bmp")
