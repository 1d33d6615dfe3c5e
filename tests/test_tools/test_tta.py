"""``tools/test.py --tta`` with the pipelines of our data bases."""

import cv2
import pytest
from builders import CROP, ROOT
from mmengine.config import Config

from mmseg_allspark.datasets import semi_pipelines

BASES = sorted(path.name for path in (ROOT / "configs/_base_/datasets").glob("*.py") if path.stem != "semi")


def test_predictions_of_all_views_become_one_of_the_images_size(trained, load_tool, tmp_path):
    cfg = Config.fromfile(trained / "config.py")
    cfg.tta_model, cfg.tta_pipeline = dict(type="SegTTAModel"), semi_pipelines((CROP, CROP)).tta
    cfg.dump(tmp_path / "tta.py")
    line = [tmp_path / "tta.py", trained / "iter_2.pth", "--tta", "--out", tmp_path / "out", "--work-dir", tmp_path]
    load_tool("test").main([str(word) for word in line])
    assert [cv2.imread(str(path), -1).shape for path in (tmp_path / "out").iterdir()] == [(CROP, CROP)] * 2


@pytest.mark.parametrize("name", BASES)
def test_a_data_base_reads_masks_with_augmentation_as_it_does_without(name):
    cfg = Config.fromfile(ROOT / "configs/_base_/datasets" / name)
    load, augment = cfg.tta_pipeline
    masks = [step for step in cfg.val_dataloader.dataset.pipeline if step.type == "LoadSegMask"]
    assert load == cfg.val_dataloader.dataset.pipeline[0] and augment.transforms[2] == masks
    assert len(augment.transforms[0]) * len(augment.transforms[1]) == 12
