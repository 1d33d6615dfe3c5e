# COCO 2017 as 81 classes for PseudoSeg: labeled images without colour changes, a strong view whose colours always
# change.
_base_ = "coco81.py"
from mmseg_allspark.datasets import semi_pipelines

colour = [dict(type="RandomColorJitter", prob=1.0)]
pipelines = semi_pipelines(_base_.crop_size, num_classes=81, colour=colour)
train_dataloader = dict(dataset=dict(pipeline=pipelines.weak_labeled))
unlabeled_dataloader = dict(dataset=dict(pipeline=pipelines.strong_unlabeled))
