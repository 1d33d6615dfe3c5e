# Cityscapes with crop 800, without colour changes: the data of CPS.
_base_ = "cityscapes.py"
from mmseg_allspark.datasets import semi_pipelines

crop_size = (800, 800)  # (h, w)
pipelines = semi_pipelines(crop_size, num_classes=19)
train_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_8/labeled.txt", pipeline=pipelines.weak_labeled))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_8/unlabeled.txt", pipeline=pipelines.unlabeled))
