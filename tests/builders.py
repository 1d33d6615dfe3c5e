"""The smallest model, data sets and runs that are still whole ones; used by the tests of several rooms."""

from __future__ import annotations

import copy
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from PIL import Image
from torch.nn.functional import interpolate

from mmseg_allspark.methods import SemiBatch, SemiSegmentor, Step

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
CLASSES = ("a", "b", "c", "d")
CROP = 65
MEMORY_SIZE = (3, 3)  # CROP / 32, rounded up
WIDTHS = [8, 16, 24, 32]
_RUNS = count()


def leave_config_text_plain(patch: pytest.MonkeyPatch) -> None:
    """Keep mmengine from prettifying the text of a config with yapf: a third of a second, several times a run."""
    for module in ("yapf.yapflib.yapf_api", "mmengine.config.config"):  # families F and U
        patch.setattr(f"{module}.FormatCode", lambda text, **_: (text, True), raising=False)


def neck_config(**changes) -> dict:
    """A neck without dropout for the deepest map of ``backbone_config``."""
    config = dict(
        type="AllSparkNeck",
        in_channels=WIDTHS[-1],
        num_classes=len(CLASSES),
        memory_size=MEMORY_SIZE,
        attn_drop=0.0,
        proj_drop=0.0,
    )
    return config | changes


def backbone_config(**changes) -> dict:
    config = dict(
        type="ReferenceMixVisionTransformer",
        embed_dims=WIDTHS[0],
        num_heads=[1, 2, 3, 4],
        num_layers=[1] * 4,
        drop_path_rate=0.0,
    )
    return config | changes


def head_config(**changes) -> dict:
    config = dict(
        type="SegformerMLPHead",
        in_channels=WIDTHS,
        in_index=[0, 1, 2, 3],
        channels=16,
        dropout_ratio=0.0,
        num_classes=len(CLASSES),
        norm_cfg=dict(type="BN"),
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    )
    return config | changes


def feature_levels() -> list[torch.Tensor]:
    """Random maps of two images at every level of ``backbone_config``."""
    return [torch.randn(2, width, 16 >> level, 16 >> level) for level, width in enumerate(WIDTHS)]


def model_config(**changes) -> dict:
    """AllSpark as small as it gets; ``neck=None`` is the pseudo-label baseline."""
    config = dict(
        type="SemiSegmentor",
        data_preprocessor=dict(
            type="SegDataPreProcessor", mean=[127.0] * 3, std=[64.0] * 3, bgr_to_rgb=True, size_divisor=1
        ),
        backbone=backbone_config(),
        neck=neck_config(),
        decode_head=head_config(),
        train_cfg=dict(),
        test_cfg=dict(mode="whole"),
    )
    return ConfigDict(copy.deepcopy(config | changes))


def build_model(seed: int = 0, **changes) -> SemiSegmentor:
    """Build ``model_config`` with its own random weights, the same for the same seed."""
    torch.manual_seed(seed)
    return MODELS.build(model_config(**changes))


def sample_with_mask(mask: torch.Tensor | None, path: str = "image.png") -> SegDataSample:
    """A data sample; ``mask`` (H, W) int64 or None."""
    sample = SegDataSample(metainfo=dict(img_path=path))
    if mask is not None:
        sample.gt_sem_seg = PixelData(data=mask[None])
    return sample


def semi_batch(
    model: SemiSegmentor,
    labeled: int = 2,
    unlabeled: int = 2,
    seed: int = 0,
    views: tuple[str, ...] = (),
    valid: torch.Tensor | None = None,
    **step,
) -> SemiBatch:
    """A preprocessed batch of random images, with the step's attributes.

    ``views``: names of more random views of the unlabeled images. ``valid``: bool, as (H, W) or (B, H, W) of either
    part, where images are not padded; None: nothing is marked.
    """
    rng = torch.Generator().manual_seed(seed)

    def images(number: int) -> torch.Tensor:
        return torch.randn(number, 3, CROP, CROP, generator=rng)

    inputs = dict(labeled=images(labeled), weak=images(unlabeled), strong=images(unlabeled))
    masks = torch.randint(0, model.num_classes, (labeled, CROP, CROP), generator=rng)
    masks[:, :4] = 255
    samples = dict(
        labeled=[sample_with_mask(mask) for mask in masks],
        unlabeled=[sample_with_mask(None) for _ in range(unlabeled)],
    )
    inputs |= {name: images(unlabeled) for name in views}
    for part in samples.values() if valid is not None else ():
        for sample, inside in zip(part, valid.expand(len(part), CROP, CROP), strict=True):
            sample.valid = PixelData(data=inside[None])
    return SemiBatch(inputs=inputs, data_samples=samples, step=Step(**step))


def logits_of(model: SemiSegmentor, images: torch.Tensor) -> torch.Tensor:
    """Logits at image size, from backbone and head."""
    logits = model.decode_head(model.backbone(images))
    return interpolate(logits, size=(CROP, CROP), mode="bilinear", align_corners=False)


class Labeler:
    """Stands in for a model that labels with known logits (B_u, K, H, W)."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits

    def label_unlabeled(self, inputs: dict) -> torch.Tensor:
        return self.logits


def write_data(root: Path, labeled: int = 2, unlabeled: int = 4, val: int = 2) -> Path:
    """Write images ``img/<id>.png``, masks ``mask/<id>.png`` and the lists ``<set>.txt`` below ``root``.

    The classes are four corners of the image in four colours, so that there is something to learn.
    """
    rng = np.random.default_rng(0)
    corner = np.arange(CROP) > CROP // 2
    labels = (2 * corner[:, None] + corner[None, :]).astype(np.uint8)
    for folder in ("img", "mask"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, number in (("labeled", labeled), ("unlabeled", unlabeled), ("val", val)):
        ids = [f"{name}{index}" for index in range(number)]
        (root / f"{name}.txt").write_text("\n".join(ids))
        for identity in ids:
            mask = np.rot90(labels, rng.integers(4)).copy()
            image = 50 * mask[..., None] + rng.integers(0, 60, (CROP, CROP, 3))
            Image.fromarray(image.astype(np.uint8)).save(root / "img" / f"{identity}.png")
            Image.fromarray(mask).save(root / "mask" / f"{identity}.png")
    return root


def dataset_config(data: Path, name: str, **changes) -> dict:
    """The dataset of one list of ``write_data``; masks are optional where the list is 'unlabeled'."""
    config = dict(
        type="BaseSegDataset",
        metainfo=dict(classes=CLASSES),
        ann_file=str(data / f"{name}.txt"),
        data_prefix=dict(img_path=str(data / "img"), seg_map_path=str(data / "mask")),
        img_suffix=".png",
        serialize_data=False,  # saves a garbage collection of a third of a second
        seg_map_suffix=".png",
        pipeline=[
            dict(type="LoadImage"),
            dict(type="LoadSegMask", num_classes=len(CLASSES), optional=name == "unlabeled"),
            dict(type="PackSemiInputs"),
        ],
    )
    return config | changes


def loader_config(data: Path, name: str, **changes) -> dict:
    infinite = name == "labeled"
    config = dict(
        batch_size=1 if name == "val" else 2,
        num_workers=0,
        sampler=dict(type="InfiniteSampler" if infinite else "DefaultSampler", shuffle=name != "val"),
        dataset=dataset_config(data, name),
    )
    return config | changes


def run_config(data: Path, work_dir: Path, *, loop: dict, validate: bool = False, **changes) -> Config:
    """All a Runner needs; ``loop`` gives ``train_cfg`` and unlabeled loader, ``changes`` replace top-level keys."""
    by_epoch = "max_epochs" in loop
    config = dict(
        default_scope="mmseg",
        experiment_name=f"run{next(_RUNS)}",  # mmengine's log, message hub and visualizer are global by name
        work_dir=str(work_dir),
        model=model_config(),
        train_dataloader=loader_config(data, "labeled"),
        unlabeled_dataloader=loop.get("unlabeled_dataloader", loader_config(data, "unlabeled")),
        train_cfg={key: value for key, value in loop.items() if key != "unlabeled_dataloader"}
        | dict(type="PseudoLabelLoop"),
        optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9)),
        param_scheduler=[dict(type="PolyLR", power=0.9, begin=0, end=20, by_epoch=False)],
        default_hooks=dict(
            logger=dict(type="LoggerHook", interval=1, log_metric_by_epoch=by_epoch),
            checkpoint=dict(type="CheckpointHook", by_epoch=by_epoch, interval=1000),
        ),
        log_processor=dict(by_epoch=by_epoch),
        visualizer=dict(type="SegLocalVisualizer", vis_backends=[]),
        randomness=dict(seed=3),
    )
    if validate:
        config |= dict(
            val_dataloader=loader_config(data, "val"),
            val_cfg=dict(type="ValLoop"),
            val_evaluator=dict(type="IoUMetric", iou_metrics=["mIoU"]),
        )
    return Config(config | changes)


def train(data: Path, work_dir: Path, **options) -> Runner:
    """Build the Runner of ``run_config``, train, and return it."""
    runner = Runner.from_cfg(run_config(data, work_dir, **options))
    runner.train()
    return runner


def assert_same_state(first: dict, second: dict, exact: bool = True) -> None:
    """Compare two state dicts name by name."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        tolerance = dict(rtol=0.0, atol=0.0) if exact else dict(rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(value, second[name], msg=lambda text, name=name: f"{name}: {text}", **tolerance)
