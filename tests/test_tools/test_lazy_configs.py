"""Pure-Python configs, where a ``type`` is a class: every tool takes them as it takes names."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from builders import MEMORY_SIZE, ROOT, WIDTHS
from mmengine.config import Config
from mmseg.registry import DATASETS

from mmseg_allspark.datasets.data_report import is_semi_supervised
from mmseg_allspark.utils.config_types import name_types, type_name

BASE = """
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.hooks import CheckpointHook, LoggerHook
from mmengine.optim import PolyLR
from mmengine.runner import TestLoop, ValLoop
from mmengine.visualization import LocalVisBackend
from mmseg.datasets import BaseSegDataset
from mmseg.evaluation import IoUMetric
from mmseg.visualization import SegLocalVisualizer
from torch.optim import SGD

from mmseg_allspark.datasets.transforms import LoadImage, LoadSegMask, PackSemiInputs
from mmseg_allspark.engine import MeanTeacherHook, PseudoLabelLoop


dataset = dict(
    type=BaseSegDataset, metainfo=dict(classes=("a", "b", "c", "d")), data_root="DATA", ann_file="labeled.txt",
    data_prefix=dict(img_path="img", seg_map_path="mask"), img_suffix=".png", seg_map_suffix=".png",
    pipeline=[dict(type=LoadImage), dict(type=LoadSegMask), dict(type=PackSemiInputs)])
views = [dict(type=LoadImage), dict(type=LoadSegMask, optional=True), dict(type=PackSemiInputs)]
train_dataloader = dict(batch_size=2, num_workers=0, dataset=dataset,
                        sampler=dict(type=InfiniteSampler, shuffle=True))
unlabeled_dataloader = dict(batch_size=2, num_workers=0,
                            dataset=dict(dataset, ann_file="unlabeled.txt", pipeline=views),
                            sampler=dict(type=DefaultSampler, shuffle=True))
val_dataloader = dict(batch_size=1, num_workers=0, dataset=dict(dataset, ann_file="val.txt"),
                      sampler=dict(type=DefaultSampler, shuffle=False))
test_dataloader = val_dataloader
test_pipeline = val_dataloader["dataset"]["pipeline"]
train_cfg = dict(type=PseudoLabelLoop, max_iters=2, val_interval=2)
val_cfg, test_cfg = dict(type=ValLoop), dict(type=TestLoop)
val_evaluator = test_evaluator = dict(type=IoUMetric, iou_metrics=["mIoU"])
param_scheduler = [dict(type=PolyLR, power=0.9, begin=0, end=2, by_epoch=False)]
optim_wrapper = dict(type="mmengine.OptimWrapper", optimizer=dict(type=SGD, lr=0.01))
default_hooks = dict(
    logger=dict(type=LoggerHook, interval=1, log_metric_by_epoch=False),
    checkpoint=dict(type=CheckpointHook, by_epoch=False, interval=2))
custom_hooks = [dict(type=MeanTeacherHook)]
visualizer = dict(type=SegLocalVisualizer, vis_backends=[dict(type=LocalVisBackend)], name="visualizer")
log_processor = dict(by_epoch=False)
"""
CHILD = f"""
from mmengine.config import read_base
from mmseg.models.losses import CrossEntropyLoss
from torch.nn import BatchNorm2d

with read_base():
    from .base import *

from mmseg_allspark.methods import SemiSegmentor
from mmseg_allspark.models import AllSparkNeck

model = dict(
    type=SemiSegmentor,
    data_preprocessor=dict(type="mmseg.SegDataPreProcessor", mean=[127.0] * 3, std=[64.0] * 3, size_divisor=1),
    backbone=dict(type="mmseg_allspark.models.ReferenceMixVisionTransformer", embed_dims={WIDTHS[0]},
                  num_heads=[1, 2, 3, 4], num_layers=[1] * 4),
    neck=dict(type=AllSparkNeck, in_channels={WIDTHS[-1]}, num_classes=4, memory_size={MEMORY_SIZE}),
    decode_head=dict(type="mmseg.SegformerMLPHead", in_channels={WIDTHS}, in_index=[0, 1, 2, 3], channels=16,
                     num_classes=4, norm_cfg=dict(type=BatchNorm2d), loss_decode=dict(type=CrossEntropyLoss)),
    train_cfg=dict(), test_cfg=dict(mode="whole"))
"""
PARTS = """
import torch
from mmseg.registry import MODELS
from mmseg_allspark.models import AllSparkNeck


@MODELS.register_module()
class OwnNeck(AllSparkNeck):
    pass
"""


@pytest.fixture(scope="module")
def config(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lazy")
    (folder / "base.py").write_text(BASE.replace("DATA", str(data)))
    (folder / "child.py").write_text(CHILD)
    return folder / "child.py"


@pytest.fixture
def trained(config, load_tool):
    """Its work directory, trained once."""
    work_dir = config.parent / "run"
    if not work_dir.exists():
        load_tool("train").main([str(config), "--work-dir", str(work_dir)])
    return work_dir


def test_it_trains_and_what_it_leaves_has_names(trained, config):
    assert (trained / "iter_2.pth").is_file()
    cfg = Config.fromfile(trained / "child.py")
    assert (cfg.model.type, cfg.model.decode_head.type) == ("SemiSegmentor", "SegformerMLPHead")
    assert cfg.model.backbone.type == "ReferenceMixVisionTransformer"
    assert cfg.default_hooks.checkpoint.type == "mmseg.AtomicCheckpointHook"
    assert cfg.train_dataloader.dataset.pipeline[0].type == "LoadImage"
    assert is_semi_supervised(Config.fromfile(config))  # as a notebook hands it over, with classes


def test_every_tool_takes_it(trained, config, data, tmp_path, load_tool, monkeypatch, capsys):
    assert load_tool("prepare/check_data").main([str(config), "--workers", "1"]) == 0
    assert "2 labeled, 4 unlabeled, 2 validation images" in capsys.readouterr().out
    words, checkpoint = [str(config), str(trained / "iter_2.pth")], str(trained / "iter_2.pth")
    for start in (words, ["-", checkpoint]):
        out = ["--out", str(tmp_path / start[0][-1]), "--labels", "--device", "cpu"]
        assert load_tool("infer").main([*start, str(data / "img/val0.png"), *out]) == 0
    load_tool("test").main([*words, "--work-dir", str(tmp_path), "--out", str(tmp_path / "out")])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["val0.png", "val1.png"]
    assert load_tool("export").main([*words, str(tmp_path / "plain.pth")]) == 0
    plain = Config.fromfile(tmp_path / "plain.py", import_custom_modules=False)
    assert plain.model.type == "EncoderDecoder"
    assert plain.test_dataloader.dataset.pipeline[0].type == "LoadImageFromFile"
    options = ["--cfg-options", "unlabeled_dataloader.dataset.data_root=nowhere"]
    with pytest.raises(FileNotFoundError, match=r"unlabeled_dataloader\.dataset\.data_root='nowhere' is not a folder"):
        load_tool("train").main([str(config), "--work-dir", str(tmp_path), *options])


def test_compare(trained, config, tmp_path, load_tool, capsys):
    tool = load_tool("analysis/compare")
    out = ["--out", str(tmp_path / "out"), "--collect-only"]
    tool.main([f"A={trained}", f"B={config}", "--seeds", "0", "--steps", "8", *out])
    text = capsys.readouterr().out
    assert "train_cfg.max_iters" not in text
    assert "| A | " in text
    assert "teacher" in text  # its hook's type is known
    # a run of a notebook, whose config was dumped with paths to classes
    other = shutil.copytree(trained, tmp_path / "paths")
    for copy in other.glob("*/vis_data/config.py"):
        copy.write_text(Config.fromfile(config).pretty_text)
    tool.main([f"A={trained}", f"B={other}", *out])
    assert "the rows differ in" not in capsys.readouterr().out


@pytest.mark.slow
def test_classes_of_a_project_are_found_again(config, tmp_path, monkeypatch, load_tool):
    path, run = tmp_path / "own.py", tmp_path / "run"
    (tmp_path / "own_project").mkdir()
    (tmp_path / "own_project/x.py").write_text(PARTS)
    shutil.copy(config.parent / "base.py", tmp_path)
    text = CHILD.replace("type=AllSparkNeck", "type=OwnNeck")
    path.write_text(text.replace("from torch.nn", "from own_project.x import OwnNeck\nfrom torch.nn"))
    monkeypatch.syspath_prepend(tmp_path)
    load_tool("train").main([str(path), "--work-dir", str(run)])
    assert Config.fromfile(run / "own.py").model.neck.type == "own_project.x.OwnNeck"
    words = [str(run / "own.py"), str(run / "iter_2.pth")]
    environment = os.environ | dict(PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
    command = [sys.executable, ROOT / "tools/test.py", *words, "--work-dir", str(tmp_path / "test")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert load_tool("export").main([*words, str(tmp_path / "plain.pth")]) == 0
    assert Config.fromfile(tmp_path / "plain.py").model.type == "EncoderDecoder"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("mmseg.models.decode_heads.FCNHead", "FCNHead"),
        ("mmcv.transforms.Resize", "mmengine.Resize"),
        ("torch.optim.AdamW", "AdamW"),
        ("mmpretrain.ViTSAM", "mmpretrain.ViTSAM"),
        ("nowhere.to.be.Found", "nowhere.to.be.Found"),
        (Path, f"{Path.__module__}.Path"),
    ],
)
def test_names(given, name):
    assert type_name(given) == name


def test_another_scope_is_refused():
    with pytest.raises(ValueError, match="default_scope='mmpretrain'.*default_scope='mmseg'"):
        name_types(Config(dict(default_scope="mmpretrain")))
    assert DATASETS.get(name_types(Config(dict(a=[dict(type="mmseg.ADE20KDataset")]))).a[0].type)
