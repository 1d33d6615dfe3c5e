# PASCAL VOC 2012 with crop 321, without colour changes of labeled images: the data of UniMatch on R101.
_base_ = "voc2012.py"
from mmseg_allspark.datasets import semi_pipelines

crop_size = (321, 321)  # (h, w)
pipelines = semi_pipelines(crop_size, num_classes=21)
train_dataloader = dict(dataset=dict(pipeline=pipelines.weak_labeled))
unlabeled_dataloader = dict(dataset=dict(pipeline=pipelines.unlabeled))
