"""What training says about lists that do not fit together; check_data.py has the same findings and more."""

import os
import shutil

import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset

from mmseg_allspark.datasets import CamVidDataset, SplitError, UnlabeledDataset, check_splits


@pytest.fixture
def root(tmp_path, save_camvid):
    return save_camvid(tmp_path / "data", train=6, val=3)


def part(root, split: str, ids: list[str] | None = None, masks: bool = True) -> CamVidDataset:
    prefix = dict(img_path=f"leftImg/{split}", **(dict(seg_map_path=f"labels/{split}") if masks else {}))
    ann_file = ""
    if ids is not None:
        ann_file = f"{split}_{'_'.join(ids)}.txt"
        (root / ann_file).write_text("".join(f"{name}\n" for name in ids))
    return CamVidDataset(data_root=str(root), ann_file=ann_file, data_prefix=prefix)


def listing(paths: list) -> object:
    """Something like a dataset that lists paths as images and as masks."""

    class Listing:
        def __len__(self) -> int:
            return len(paths)

        def get_data_info(self, index: int) -> dict:
            return dict(img_path=str(paths[index]), seg_map_path=str(paths[index]))

    return Listing()


def test_good_splits_return_sizes(root, tmp_path, save_image):
    labeled, unlabeled = part(root, "train", ["t00", "t01"]), part(root, "train", ["t02", "t03"], masks=False)
    assert check_splits(labeled, unlabeled, part(root, "val")) == dict(labeled=2, unlabeled=2, validation=3)
    assert check_splits(labeled) == dict(labeled=2)
    for index in range(3):  # the same names of different images are no overlap
        save_image(tmp_path / f"other/v0{index}.png", seed=50 + index)
    check_splits(labeled, UnlabeledDataset(str(tmp_path / "other")), part(root, "val"))


def test_labeled_unlabeled_overlap(root):
    labeled, unlabeled = part(root, "train", ["t00", "t01"]), part(root, "train")
    with pytest.raises(SplitError, match=r"labeled and unlabeled data: 2 images in both.*t00.*allow_overlap=True"):
        check_splits(labeled, unlabeled)
    assert check_splits(labeled, unlabeled, allow_overlap=True)["unlabeled"] == 6


@pytest.mark.parametrize("name", ["labeled", "unlabeled"])
def test_overlap_with_validation_is_never_allowed(root, name):
    train = part(root, "train", ["t00"])
    both = ConcatDataset([part(root, "train", ["t02"]), part(root, "val", ["v01"])])
    labeled, unlabeled = (both, train) if name == "labeled" else (train, both)
    with pytest.raises(SplitError, match=rf"{name} and validation data: 1 images in both.*v01"):
        check_splits(labeled, unlabeled, part(root, "val"), allow_overlap=True)


def test_overlap_through_links_and_copies(root, tmp_path):
    labeled, val = part(root, "train", ["t00"]), part(root, "val")
    original = root / "leftImg/val/v02.png"
    for name, make in (("link", os.symlink), ("hard", os.link), ("copy", shutil.copy)):
        (tmp_path / name).mkdir()
        make(original, tmp_path / name / "v02.png")
        with pytest.raises(SplitError, match="unlabeled and validation data: 1 images.*v02"):
            check_splits(labeled, UnlabeledDataset(str(tmp_path / name)), val)
    (tmp_path / "dir").symlink_to(original.parent, target_is_directory=True)
    with pytest.raises(SplitError, match="3 images"):
        check_splits(labeled, UnlabeledDataset(str(tmp_path / "dir")), val)


def test_missing_masks_and_images_are_counted(root):
    for name in ("t01", "t03"):
        (root / f"labels/train/{name}.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"labeled data: 2 of 6 masks.*t01\.png.*seg_map_path"):
        check_splits(part(root, "train"))
    check_splits(part(root, "train", ["t00"]), part(root, "train", ["t01", "t03"]))  # unlabeled need no masks
    with pytest.raises(FileNotFoundError, match=r"unlabeled data: 1 of 2 images.*t99"):
        check_splits(part(root, "train", ["t00"]), part(root, "train", ["t02", "t99"]))
    with pytest.raises(SplitError, match="labeled data: 6 of 6 masks.*No mask is known.*seg_map_path"):
        check_splits(part(root, "train", masks=False))


@pytest.mark.parametrize("name", ["labeled", "unlabeled", "validation"])
def test_empty_set(root, name):
    sets = dict(labeled=part(root, "train", ["t00"]), unlabeled=part(root, "train", ["t01"]), validation=None)
    sets[name] = listing([])
    with pytest.raises(SplitError, match=f"{name} data: The dataset has no sample"):
        check_splits(*sets.values())


def test_labeled_images_are_never_skipped(root):
    dataset = UnlabeledDataset(str(root / "leftImg"), pipeline=[dict(type="LoadImage", unreadable="skip")])
    with pytest.raises(SplitError, match=r"labeled data has LoadImage\(unreadable='skip'\)"):
        check_splits(dataset)


def test_wrappers_lazy_datasets_and_indices(root):
    folders = dict(data_root=str(root), data_prefix=dict(img_path="leftImg/val", seg_map_path="labels/val"))
    lazy = CamVidDataset(lazy_init=True, indices=2, **folders)
    labeled = ConcatDataset([part(root, "train", ["t00"]), part(root, "train", ["t01"])])
    unlabeled = RepeatDataset(part(root, "train", ["t03"]), times=50)
    assert check_splits(labeled, unlabeled, lazy) == dict(labeled=2, unlabeled=1, validation=2)
    with pytest.raises(TypeError, match="list has no get_data_info"):
        check_splits([])
