"""The data configs build and give samples as the contract says."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.registry import DATASETS

from mmseg_allspark.datasets import check_splits

BASE = Path(__file__).resolve().parents[2] / "configs/_base_/datasets"
SUBSET = BASE.parents[3] / "shared/data/voc2012_subset"
CHILD = """
_base_ = ['{base}']
train_dataloader = dict(dataset=dict(ann_file='splits/1_2/labeled.txt'))
unlabeled_dataloader = dict(dataset=dict(ann_file='splits/1_2/unlabeled.txt'))
"""


@pytest.fixture
def config(tmp_path, save_camvid):
    root = save_camvid(tmp_path / "camvid", train=4)
    folder = root / "splits/1_2"
    folder.mkdir(parents=True)
    (folder / "labeled.txt").write_text("t00\nt02\n")
    (folder / "unlabeled.txt").write_text("t01\nt03\n")
    (root / "labels/train/t03.png").unlink()
    (tmp_path / "child.py").write_text(CHILD.format(base=BASE / "camvid.py"))
    cfg = Config.fromfile(tmp_path / "child.py")
    keys = ["train_dataloader", "unlabeled_dataloader", "val_dataloader", "test_dataloader"]
    cfg.merge_from_dict({f"{key}.dataset.data_root": str(root) for key in keys})
    return cfg


def _datasets(cfg: Config) -> list:
    loaders = (cfg.train_dataloader, cfg.unlabeled_dataloader, cfg.val_dataloader)
    return [DATASETS.build(loader.dataset) for loader in loaders]


def test_camvid_samples(config):
    labeled, unlabeled, val = datasets = _datasets(config)
    assert check_splits(*datasets) == dict(labeled=2, unlabeled=2, validation=2)
    for dataset in (labeled, unlabeled):
        batch = pseudo_collate([dataset[0], dataset[1]])
        assert [tuple(image.shape) for image in batch["inputs"]] == [(3, 257, 257)] * 2
    assert ["gt_sem_seg" in sample for sample in batch["data_samples"]] == [True, False]
    assert tuple(val[0]["inputs"].shape) == (3, 12, 16)


def test_unlabeled_images_get_no_colour_change(config):
    def types(dataset: dict) -> list[str]:
        return [step.type for step in dataset.pipeline]

    colour = {"RandomColorJitter", "RandomGray", "RandomGaussianBlur"}
    assert colour <= set(types(config.train_dataloader.dataset))
    assert not colour & set(types(config.unlabeled_dataloader.dataset))


@pytest.mark.skipif(not SUBSET.is_dir(), reason="needs ../shared/data/voc2012_subset")
def test_voc_on_the_subset_by_options_alone(tmp_path):
    lists = SUBSET / "ImageSets/Segmentation"
    labeled = (lists / "labeled_183.txt").read_text().split()
    rest = [name for name in (lists / "train_aug.txt").read_text().split() if name not in set(labeled)]
    (tmp_path / "unlabeled.txt").write_text("\n".join(rest))
    (tmp_path / "child.py").write_text(CHILD.format(base=BASE / "voc2012.py"))
    cfg = Config.fromfile(tmp_path / "child.py")
    options = {
        "train_dataloader.dataset.ann_file": "ImageSets/Segmentation/labeled_183.txt",
        "unlabeled_dataloader.dataset.ann_file": str(tmp_path / "unlabeled.txt"),
    }
    for key in ("train_dataloader", "unlabeled_dataloader", "val_dataloader"):
        options[f"{key}.dataset.data_root"] = str(SUBSET)
    for key in ("train_dataloader", "unlabeled_dataloader"):
        options[f"{key}.dataset.pipeline.3.crop_size"] = 129
        options[f"{key}.dataset.pipeline.4.size"] = (129, 129)
    cfg.merge_from_dict(options)
    datasets = _datasets(cfg)
    assert check_splits(*datasets) == dict(labeled=65, unlabeled=610, validation=200)
    for dataset in datasets[:2]:
        assert tuple(dataset[0]["inputs"].shape) == (3, 129, 129)
        assert set(dataset[0]["data_samples"].gt_sem_seg.data.unique().tolist()) <= {*range(21), 255}
