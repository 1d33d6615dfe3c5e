"""Training and prediction from Python: what the command line does, and its checks."""

import os
import time
import warnings

import numpy as np
import pytest
from builders import CROP, run_config
from mmengine.config import Config

from mmseg_allspark import Run, train


@pytest.fixture
def config(data, tmp_path, monkeypatch):
    """A config file of two iterations; the working directory is empty but for it."""
    monkeypatch.chdir(tmp_path)
    options = dict(
        custom_imports=dict(imports=["mmseg_allspark"]), custom_hooks=[dict(type="SemanticMemoryHook", warmup_iters=1)]
    )
    cfg = run_config(data, tmp_path, loop=dict(max_iters=20, val_interval=20), validate=True, **options)
    cfg.pop("work_dir"), cfg.pop("experiment_name")
    cfg.test_pipeline = cfg.val_dataloader.dataset.pipeline
    cfg.dump("small.py")
    return "small.py"


def test_three_lines_train_and_predict(config, data):
    shown, filters = warnings.formatwarning, warnings.filters[:]
    run = train(config, steps=2, cfg_options={"randomness.seed": 5})
    assert (warnings.formatwarning, warnings.filters) == (shown, filters)  # a notebook's own stay
    image = next((data / "img").glob("val*.png"))
    labels = run.predict(image)
    assert run.work_dir.as_posix() == "work_dirs/small" and run.checkpoint.name == "iter_2.pth"
    assert labels.shape == (CROP, CROP) and labels.dtype == np.int64
    trained = Config.fromfile(run.work_dir / config)
    assert (trained.train_cfg.max_iters, trained.param_scheduler[0].end, trained.randomness.seed) == (2, 2, 5)
    again = Run("work_dirs/small").predict([image, image])  # at any later time
    assert all((one == labels).all() for one in again)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (dict(config="no.py"), FileNotFoundError, "no.py"),
        (dict(steps=1), ValueError, "steps"),
        (dict(steps=2.5), TypeError, "steps"),
        (dict(cfg_options={"modle.neck": None}), ValueError, "model"),
        (dict(cfg_options={"train_dataloader.dataset.data_root": "no/such"}), FileNotFoundError, "no/such"),
    ],
)
def test_what_the_command_line_refuses_is_an_exception(config, options, error, message):
    with pytest.raises(error, match=message):
        train(**dict(config=config) | options)


def test_the_best_checkpoint_of_an_earlier_training_is_not_this_ones(config, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda *_: "20260101_000000")  # mmengine tells runs apart by the second
    metrics = ["mIoU", "aAcc"]
    best = dict(steps=2, cfg_options={"default_hooks.checkpoint.save_best": metrics, "train_cfg.val_interval": 1})
    run = train(config, **best)
    assert run.checkpoint.name.startswith("best_")
    os.utime("work_dirs/small/iter_2.pth")  # as if the best were that of the first validation
    assert run.checkpoint.name.startswith("best_")
    assert train(config, steps=2).checkpoint.name == "iter_2.pth"  # keeps none, in the same folder
    assert train(config, **best).checkpoint.name.startswith("best_")


def test_a_folder_without_a_training_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=tmp_path.name):
        Run(tmp_path)
    (tmp_path / "last_checkpoint").write_text(f"{tmp_path}/iter_2.pth")  # deleted since
    with pytest.raises(FileNotFoundError, match=tmp_path.name):
        Run(tmp_path)
