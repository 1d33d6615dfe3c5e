# AugSeg, VOC animals, MobileNetV2, crop 224, 4 + 4 images a step.
_base_ = "../supervised/mobilenetv2_voc-animals.py"
# an import above _base_ would be another kind of config
from mmseg_allspark.datasets import semi_pipelines

pipelines = semi_pipelines(_base_.crop_size, colour=[dict(type="RandomIntensity")])
unlabeled_dataloader = dict(dataset=dict(pipeline=pipelines.strong_unlabeled))
model = dict(type="AugSegSegmentor")
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
