"""Checkpoints as training writes them: averaged and trained weights, optimizer, log, config."""

from __future__ import annotations

from pathlib import Path

from builders import CLASSES, loader_config, model_config, train

EMA = dict(type="EMAHook", momentum=0.5, update_buffers=True)
CNN = dict(
    type="ResNetV1c", depth=18, stem_channels=8, base_channels=8, num_stages=4, out_indices=(0, 1, 2, 3),
    dilations=(1, 1, 1, 1), strides=(1, 2, 2, 2), norm_cfg=dict(type="SyncBN"), style="pytorch",
)  # fmt: skip
CNN_WIDTHS = [8, 16, 32, 64]


def write_trained(data: Path, work_dir: Path, **model) -> Path:
    """Train AllSpark (``neck=None``: the pseudo-label baseline) for two steps.

    Returns the folder; it holds ``config.py`` and ``iter_2.pth``.
    """
    test = dict(test_dataloader=loader_config(data, "val"), test_cfg=dict(type="TestLoop"))
    runner = train(
        data,
        work_dir,
        loop=dict(max_iters=2),
        validate=True,
        model=model_config(alignment=dict(), **model),
        custom_imports=dict(imports=["mmseg_allspark"], allow_failed_imports=False),
        custom_hooks=[EMA, dict(type="SemanticMemoryHook", warmup_iters=1)] if model.get("neck", 1) else [EMA],
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2)),
        test_evaluator=dict(type="IoUMetric", iou_metrics=["mIoU"]),
        test_pipeline=loader_config(data, "val")["dataset"]["pipeline"],
        **test,
    )
    runner.cfg.dump(str(work_dir / "config.py"))
    return work_dir


def cnn_baseline() -> dict:
    """Model options of a pseudo-label baseline all of whose parts are mmseg's."""
    head = dict(
        type="SegformerHead", in_channels=CNN_WIDTHS, in_index=[0, 1, 2, 3], channels=16, dropout_ratio=0.0,
        num_classes=len(CLASSES), norm_cfg=dict(type="SyncBN"), align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss"),
    )  # fmt: skip
    return dict(backbone=CNN, neck=None, decode_head=head)
