# AugSeg on your own data. Step by step in docs/own_data.md.
# Inherits data, classes and schedule from the AllSpark config.
# python tools/train.py configs/augseg/segformer_b0_own-data.py
_base_ = "../allspark/segformer_b0_own-data.py"
# an import above _base_ would be another kind of config
from mmseg_allspark.datasets import semi_pipelines

pipelines = semi_pipelines(
    _base_.crop_size,
    num_classes=_base_.num_classes,
    unlabeled_masks=False,
    colour=[dict(type="RandomIntensity")],
)
model = dict(
    _delete_=True,
    type="AugSegSegmentor",
    **{key: _base_.model[key] for key in ("data_preprocessor", "backbone", "decode_head", "train_cfg", "test_cfg")},
)
unlabeled_dataloader = dict(dataset=dict(pipeline=pipelines.strong_unlabeled))
del _base_.default_hooks["semantic_memory"]
