"""What masks and lists hold is looked at before training."""

import logging
import shutil

import numpy as np
import pytest
from builders import dataset_config, run_config, write_data
from mmengine.runner import Runner
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_allspark.datasets.mask_checks import check_masks


@pytest.fixture
def own(data, tmp_path):
    """A copy of the data, to be spoiled."""
    return shutil.copytree(data, tmp_path / "data")


def read_log(data, work_dir, **options):
    """Train for a step and return the log."""
    options.setdefault("loop", dict(max_iters=1))
    Runner.from_cfg(run_config(data, work_dir, validate=True, **options)).train()
    (log,) = work_dir.glob("*/*.log")
    return log.read_text()


def relabel(folder, name, values):
    """Give the masks of a part other labels."""
    for path in (folder / "mask").glob(f"{name}*.png"):
        mask = np.asarray(Image.open(path))
        Image.fromarray(np.take(values, mask).astype(np.uint8)).save(path)


def test_an_object_in_one_mask_of_many_is_enough(tmp_path, caplog):
    data = write_data(tmp_path, labeled=130)
    relabel(data, "labeled", np.zeros(256))
    Image.fromarray(np.eye(65, dtype=np.uint8)).save(data / "mask/labeled1.png")
    dataset = DATASETS.build(dataset_config(data, "labeled"))
    check_masks(dict(labeled=dataset), logging.getLogger())
    assert "No pixel of c, d in the 130 masks of train_dataloader looked at (of 130)" in caplog.text


def test_masks_of_one_class_in_validation_and_absent_classes_are_warned_about(own, tmp_path):
    relabel(own, "val", np.zeros(256))
    relabel(own, "labeled", np.minimum(np.arange(256), 1))
    log = read_log(own, tmp_path / "run")
    assert "masks of val_dataloader looked at hold a only" in log
    assert "No pixel of c, d in the 2 masks of train_dataloader looked at (of 2)" in log
