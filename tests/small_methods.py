"""Every method as a small whole config: the list that the contract of methods is tested on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from builders import CLASSES, CROP, WIDTHS, dataset_config, loader_config, model_config, neck_config, run_config
from mmengine.config import Config
from mmseg.registry import MODELS
from test_engine.recording import RecordHook  # noqa: F401 (registers itself)

from mmseg_allspark.methods import SemiSegmentor

PAD = dict(type="PadAndMark", size=(CROP, CROP), pad_val=dict(img=0, seg=255))
GEOMETRY = [
    dict(type="RandomResizeLongSide", ratio_range=(0.6, 1.5)),
    dict(type="RandomCrop", crop_size=(CROP, CROP)),
    PAD,
    dict(type="RandomFlip", prob=0.5),
]
COLOUR = [dict(type="RandomColorJitter"), dict(type="RandomGaussianBlur")]
VIEWS = dict(weak=[], strong=COLOUR, strong1=COLOUR, strong2=COLOUR)
SURE = dict(type="ConfidenceThreshold", threshold=0.1)  # so that small untrained models keep some pixels
# A method: its model, and the options of its loop. A new one is added here; a test asks for it.
METHODS = {
    "semi": (
        dict(type="SemiSegmentor", unlabeled_view="strong", confidence=SURE, cutmix=dict(prob=1.0), alignment=dict()),
        {},
    ),
    "unimatch": (dict(type="UniMatchSegmentor", confidence=SURE, cutmix=dict(prob=1.0)), {}),
    "unimatch_v2": (
        dict(type="UniMatchV2Segmentor", confidence=SURE, cutmix=dict(prob=1.0)),
        dict(pseudo_labels_from="ema"),
    ),
    "mean_teacher": (
        dict(type="MeanTeacherSegmentor", confidence=dict(SURE, per="image")),
        dict(pseudo_labels_from="ema"),
    ),
    "ael": (
        dict(type="AELSegmentor", confidence=SURE, copy_paste=dict(prob=1.0, exclude=(0,)), sampling_power=0.5),
        dict(pseudo_labels_from="ema"),
    ),
    "augseg": (
        dict(type="AugSegSegmentor", confidence=SURE, mask_padding=True),
        dict(pseudo_labels_from="ema"),
    ),
    "psmt": (dict(type="PSMTSegmentor", confidence=SURE, assist_topk=2), dict(pseudo_labels_from="ema")),
    "gta": (dict(type="GTASegmentor", cutmix=dict(prob=1.0)), dict(pseudo_labels_from="ema")),
    "esl": (
        dict(
            type="ESLSegmentor",
            anchor_conf=0.3,
            projection_channels=8,
            contrast=dict(channels=8, parts=2, queue=8, negatives=16),
            pseudo_loss=dict(type="DynamicSoftLabelLoss", mass=0.9),
        ),
        dict(pseudo_labels_from="ema"),
    ),
    "u2pl": (
        dict(
            type="U2PLSegmentor",
            projection_channels=8,
            contrast=dict(channels=8, rows=64, rows_per_step=16, anchors=8, negatives=4, anchor_threshold=0.1),
        ),
        dict(pseudo_labels_from="ema"),
    ),
    "semicvt": (
        dict(
            type="SemiCVTSegmentor",
            backbone=dict(
                type="ResNetCVT",
                depth=18,
                stem_channels=8,
                base_channels=4,
                width=16,
                num_heads=2,
                key_stride=1,  # the deepest map is 3 x 3
                out_indices=(0, 3),
            ),
            decode_head=dict(
                type="TwoStreamHead",
                in_channels=WIDTHS[-1],
                channels=8,
                dilations=(1, 2),
                c1_in_channels=4,
                c1_channels=4,
                num_classes=len(CLASSES),
                norm_cfg=dict(type="BN"),
                loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
            ),
            feature_channels=8,
            projection_channels=8,
        ),
        dict(pseudo_labels_from="ema"),
    ),
    "dgcl": (
        dict(
            type="DGCLSegmentor",
            projection_channels=8,
            contrast=dict(
                rows=16,
                rows_per_step=32,
                density_rows=8,
                neighbours=(2, 4),
                anchors=8,
                positives=4,
                negatives=16,
                max_pixels=40,
            ),
        ),
        dict(pseudo_labels_from="ema"),
    ),
    "corrmatch": (
        dict(
            type="CorrMatchSegmentor",
            confidence=dict(type="GlobalMaxThreshold", init=0.1),
            cutmix=dict(prob=1.0),
            correlation=dict(channels=16, norm_cfg=dict(type="BN")),
            segments=6,
        ),
        {},
    ),
    "pseudoseg": (
        dict(
            type="PseudoSegSegmentor",
            unlabeled_view="strong",
            attention=dict(dim=8),
            cutout=dict(half=8),
            cutmix=dict(prob=1.0),
        ),
        {},
    ),
    "self_training": (dict(type="SelfTrainingSegmentor"), {}),
    "guidedmix": (dict(type="GuidedMixSegmentor"), {}),
    "cps": (dict(type="CPSSegmentor"), {}),
    "mkd": (dict(type="MKDSegmentor", cutmix=dict(prob=1.0)), dict(pseudo_labels_from="ema")),
    "ccvc": (dict(type="CCVCSegmentor", conflict_threshold=0.3, cutmix=dict(prob=1.0)), {}),
    "fpl": (dict(type="CPSSegmentor", cutmix=dict(prob=1.0), pseudo_loss=dict(type="FuzzyPositiveLoss")), {}),
}
TEACHERS = dict(psmt=2)  # of methods that are defined for more than one
NECKS = dict(plain=None, allspark=neck_config(attn_drop=0.1, proj_drop=0.1))
EVERY_CASE = [(method, neck) for method in METHODS for neck in NECKS]


def slow_unless(is_usual: Callable[[tuple[str, str]], bool]) -> list:
    """Every case, those that the default run leaves out marked slow."""
    return [case if is_usual(case) else pytest.param(case, marks=pytest.mark.slow) for case in EVERY_CASE]


# by default two methods are tested with the neck, and all without it
CASES = slow_unless(lambda case: case[1] == "plain" or case[0] in ("semi", "unimatch"))
FEW_CASES = slow_unless(lambda case: case in (("semi", "allspark"), ("unimatch", "plain"), ("u2pl", "plain")))


def registered_methods() -> set[str]:
    """Names of all segmentors that are SemiSegmentor or derived from it."""
    return {
        name
        for name, kind in MODELS.module_dict.items()
        if isinstance(kind, type) and issubclass(kind, SemiSegmentor) and kind.__module__.startswith("mmseg_allspark.")
    }


def method_model(method: str, neck: str) -> dict:
    """Config of a method's model."""
    return model_config(neck=NECKS[neck], **METHODS[method][0])


def teacher_hook(method: str, **options: object) -> dict:
    """Config of the hook of a method's teachers."""
    return dict(type="MeanTeacherHook", num_teachers=TEACHERS.get(method, 1), **options)


def method_config(data: Path, work_dir: Path, method: str, neck: str, steps: int = 2, **changes) -> Config:
    """A run without masks of unlabeled images, with everything random, and a checkpoint after each step."""
    unlabeled = dataset_config(data, "unlabeled")
    unlabeled["data_prefix"] = dict(img_path=str(data / "img"))
    unlabeled["pipeline"] = [
        dict(type="LoadImage"),
        *GEOMETRY,
        dict(type="MultiView", views=VIEWS),
        dict(type="PackSemiInputs"),
    ]
    labeled = [
        dict(type="LoadImage"),
        dict(type="LoadSegMask", num_classes=len(CLASSES)),
        *GEOMETRY,
        dict(type="PackSemiInputs"),
    ]
    hooks = [teacher_hook(method, momentum=0.3), dict(type="RecordHook")]
    if NECKS[neck]:
        hooks.append(dict(type="SemanticMemoryHook", warmup_iters=1))
    loop = dict(
        max_iters=steps,
        unlabeled_dataloader=loader_config(data, "unlabeled", dataset=unlabeled),
        **METHODS[method][1],
    )
    options = dict(
        model=method_model(method, neck),
        train_dataloader=loader_config(data, "labeled", dataset=dataset_config(data, "labeled", pipeline=labeled)),
        custom_hooks=hooks,
        custom_imports=dict(imports=["mmseg_allspark"], allow_failed_imports=False),
        default_hooks=dict(checkpoint=dict(type="AtomicCheckpointHook", by_epoch=False, interval=1)),
    )
    return run_config(data, work_dir, loop=loop, **options | changes)
