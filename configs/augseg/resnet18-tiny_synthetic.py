# AugSeg, synthetic data set, from scratch, 8 + 8 images.
# Burn-in and ramp-up because it starts from random weights.
# python tools/prepare/synthetic.py && python tools/train.py configs/augseg/resnet18-tiny_synthetic.py
_base_ = "../supervised/resnet18-tiny_synthetic.py"
# an import above _base_ would be another kind of config
from mmseg_allspark.datasets import semi_pipelines

pipelines = semi_pipelines(_base_.crop_size, ratio_range=(0.75, 1.5), colour=[dict(type="RandomIntensity")])
unlabeled_dataloader = dict(
    batch_size=8,  # a labeled image for every unlabeled one
    dataset=dict(pipeline=pipelines.strong_unlabeled),
)
model = dict(type="AugSegSegmentor")
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
