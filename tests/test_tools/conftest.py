"""A project small enough to train in a second: random images, a few convolutions, four iterations."""

import os
import sys

import cv2
import numpy as np
import pytest

TINY_CONFIG = """
custom_imports = dict(imports=['tiny_parts'])
default_scope = 'mmseg'
norm_cfg = dict(type='SyncBN')
data_preprocessor = dict(type='SegDataPreProcessor', mean=[127.] * 3, std=[64.] * 3, size=(16, 16))
model = dict(
    type='EncoderDecoder', data_preprocessor=data_preprocessor, backbone=dict(type='TinyBackbone'),
    decode_head=dict(type='FCNHead', in_channels=4, channels=4, num_convs=1, num_classes=3, norm_cfg=norm_cfg,
                     concat_input=False),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
train_dataloader = dict(batch_size=2, num_workers=0, dataset=dict(type='RandomImages'),
                        sampler=dict(type='InfiniteSampler', shuffle=True))
val_dataloader = dict(batch_size=1, num_workers=0, dataset=dict(type='RandomImages'),
                      sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=4)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=4),
                     visualization=dict(type='SegVisualizationHook'))
custom_hooks = [dict(type='SaveEveryRank')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer')
log_processor = dict(by_epoch=False)
"""

TINY_PARTS = """
import os
import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import BaseModule
from mmengine.structures import PixelData
from mmseg.registry import DATASETS, HOOKS, MODELS
from mmseg.structures import SegDataSample


@MODELS.register_module()
class TinyBackbone(BaseModule):
    # SyncBatchNorm that no config names: a default of the layer, as in some of mmseg's own
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.SyncBatchNorm(4))

    def forward(self, x):
        return [self.layers(x)]


@DATASETS.register_module()
class RandomImages(torch.utils.data.Dataset):
    metainfo = dict(classes=('a', 'b', 'c'), palette=[[0, 0, 0], [9, 9, 9], [99, 99, 99]])

    def __len__(self):
        return 6

    def __getitem__(self, index):
        image = np.random.RandomState(index).randint(0, 255, (3, 16, 16), np.uint8)
        size = (16, 16)
        sample = SegDataSample(
            gt_sem_seg=PixelData(data=torch.from_numpy(image[:1] // 86).long()),
            metainfo=dict(img_path=f'{index}.png', img_shape=size, ori_shape=size, pad_shape=size))
        return dict(inputs=torch.from_numpy(image), data_samples=sample)


@HOOKS.register_module()
class SaveEveryRank(Hook):
    def after_train(self, runner):
        model = getattr(runner.model, 'module', runner.model)
        torch.save(model.state_dict(), os.path.join(runner.work_dir, f'rank{get_rank()}.pth'))
"""


@pytest.fixture(scope="session")
def tiny_project(tmp_path_factory):
    """Return a folder, with a space in its name, that holds ``tiny.py`` and the classes it uses."""
    folder = tmp_path_factory.mktemp("tiny project")
    (folder / "tiny.py").write_text(TINY_CONFIG)
    (folder / "tiny_parts.py").write_text(TINY_PARTS)
    return folder


@pytest.fixture(scope="session")
def cpu_environment(tiny_project):
    """Environment variables for a command that runs ``tiny.py`` on the CPU with this very Python."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PORT", "NNODES")}
    environment.update(
        PYTHON=sys.executable, PYTHONPATH=str(tiny_project), CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1"
    )
    return environment


@pytest.fixture
def infer(load_tool, trained, monkeypatch):
    """Return a function that runs tools/infer.py on the CPU with the small AllSpark model, or another config of it."""
    monkeypatch.setattr(sys, "argv", ["infer.py"])  # argparse names it in errors

    def run(*arguments, config=None):
        line = [str(config or trained / "config.py"), str(trained / "iter_2.pth"), *map(str, arguments)]
        return load_tool("infer").main([*line, "--device", "cpu"])

    return run


@pytest.fixture
def video(tmp_path):
    """Five frames as clip.mp4."""
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 12.5, (96, 64))
    for number in range(5):
        writer.write(np.full((64, 96, 3), 40 * number, np.uint8))
    writer.release()
    return path
