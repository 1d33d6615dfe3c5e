# PASCAL VOC 2012 with crop 512, without colour changes: the data of CPS.
_base_ = "voc2012.py"
from mmseg_allspark.datasets import semi_pipelines

crop_size = (512, 512)  # (h, w)
pipelines = semi_pipelines(crop_size, num_classes=21)
train_dataloader = dict(dataset=dict(ann_file="splits/voc/1_8/labeled.txt", pipeline=pipelines.weak_labeled))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/1_8/unlabeled.txt", pipeline=pipelines.unlabeled))
