import os
import shutil
import time

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


def test_good_splits_return_sizes(root):
    labeled, unlabeled = (
        part(root, "train", ["t00", "t01"]),
        part(root, "train", ["t02", "t03", "t04"], masks=False),
    )
    sizes = check_splits(labeled, unlabeled, part(root, "val"))
    assert sizes == dict(labeled=2, unlabeled=3, validation=3)
    assert check_splits(labeled) == dict(labeled=2)


def test_labeled_unlabeled_overlap(root):
    labeled, unlabeled = part(root, "train", ["t00", "t01"]), part(root, "train")
    with pytest.raises(SplitError, match="2 images are in both the labeled and the unlabeled data.*t00"):
        check_splits(labeled, unlabeled)
    assert check_splits(labeled, unlabeled, allow_overlap=True)["unlabeled"] == 6


@pytest.mark.parametrize("name", ["labeled", "unlabeled"])
def test_overlap_with_validation_is_never_allowed(root, name):
    train = part(root, "train", ["t00"])
    both = ConcatDataset([part(root, "train", ["t02"]), part(root, "val", ["v01"])])
    labeled, unlabeled = (both, train) if name == "labeled" else (train, both)
    with pytest.raises(SplitError, match=f"1 images are in both the {name} and the validation data.*v01"):
        check_splits(labeled, unlabeled, part(root, "val"), allow_overlap=True)


def test_overlap_through_links_and_copies(root, tmp_path):
    labeled, val = part(root, "train", ["t00"]), part(root, "val")
    original = root / "leftImg/val/v02.png"
    for name, make in (("link", os.symlink), ("hard", os.link), ("copy", shutil.copy)):
        folder = tmp_path / name
        folder.mkdir()
        make(original, folder / "v02.png")
        with pytest.raises(SplitError, match="unlabeled and the validation.*v02"):
            check_splits(labeled, UnlabeledDataset(str(folder)), val)
    (tmp_path / "dir").symlink_to(original.parent, target_is_directory=True)
    with pytest.raises(SplitError, match="3 images"):
        check_splits(labeled, UnlabeledDataset(str(tmp_path / "dir")), val)


def test_same_names_of_different_images_are_no_overlap(root, tmp_path, save_image):
    for index in range(3):
        save_image(tmp_path / f"other/v0{index}.png", seed=50 + index)
    check_splits(part(root, "train", ["t00"]), UnlabeledDataset(str(tmp_path / "other")), part(root, "val"))


def test_missing_masks_and_images_are_counted(root):
    for name in ("t01", "t03"):
        (root / f"labels/train/{name}.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"2 of 6 masks of the labeled data.*t01\.png.*seg_map_path"):
        check_splits(part(root, "train"))
    check_splits(part(root, "train", ["t00"]), part(root, "train", ["t01", "t03"]))  # unlabeled need no masks
    with pytest.raises(FileNotFoundError, match=r"1 of 2 images of the unlabeled data.*t99"):
        check_splits(part(root, "train", ["t00"]), part(root, "train", ["t02", "t99"]))


def test_labeled_without_mask_folder(root):
    with pytest.raises(SplitError, match="6 of 6 samples of the labeled data name no mask"):
        check_splits(part(root, "train", masks=False))


@pytest.mark.parametrize("name", ["labeled", "unlabeled", "validation"])
def test_empty_set(root, name):
    empty = listing([])
    sets = dict(
        labeled=part(root, "train", ["t00"]),
        unlabeled=part(root, "train", ["t01"]),
        validation=part(root, "val"),
    )
    sets[name] = empty
    with pytest.raises(SplitError, match=f"The {name} data set is empty"):
        check_splits(sets["labeled"], sets["unlabeled"], sets["validation"])


def test_wrappers_and_lazy_datasets(root):
    lazy = CamVidDataset(
        data_root=str(root),
        data_prefix=dict(img_path="leftImg/val", seg_map_path="labels/val"),
        lazy_init=True,
    )
    labeled = ConcatDataset([part(root, "train", ["t00"]), part(root, "train", ["t01"])])
    unlabeled = RepeatDataset(part(root, "train", ["t03"]), times=50)
    assert check_splits(labeled, unlabeled, lazy) == dict(labeled=2, unlabeled=1, validation=3)
    with pytest.raises(TypeError, match="list has no get_data_info"):
        check_splits([])


def test_indices_are_respected(root):
    kwargs = dict(data_root=str(root), data_prefix=dict(img_path="leftImg/train", seg_map_path="labels/train"))
    assert check_splits(CamVidDataset(indices=2, **kwargs), CamVidDataset(indices=[3, 4], **kwargs)) == dict(
        labeled=2, unlabeled=2
    )


def test_ten_thousand_files_are_fast(tmp_path):
    files = [tmp_path / f"{index}.png" for index in range(10_000)]
    for path in files:
        path.touch()

    start = time.perf_counter()
    check_splits(listing(files[:1000]), listing(files[1000:9000]), listing(files[9000:]))
    assert time.perf_counter() - start < 5
