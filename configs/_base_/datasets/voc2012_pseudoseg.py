# PASCAL VOC 2012 for PseudoSeg: labeled images without colour changes, a strong view whose colours always change.
_base_ = "voc2012.py"
from mmseg_allspark.datasets import semi_pipelines

colour = [dict(type="RandomColorJitter", prob=1.0)]
pipelines = semi_pipelines(_base_.crop_size, num_classes=21, colour=colour)
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=pipelines.weak_labeled))
unlabeled_dataloader = dict(batch_size=4, dataset=dict(pipeline=pipelines.strong_unlabeled))
