# AugSeg, PASCAL VOC 2012 original, 183 labeled images, R101-DeepLabV3+, crop 513, 80 epochs.
# tools/dist_train.sh configs/augseg/deeplabv3plus_r101_voc_1-8.py 4
# paper mIoU 75.45 (AugSeg's README)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/voc2012.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
# an import above _base_ would be another kind of config
from mmseg_allspark.datasets import semi_pipelines

pipelines = semi_pipelines(_base_.crop_size, num_classes=21, colour=[dict(type="RandomIntensity")])
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=pipelines.weak_labeled))
unlabeled_dataloader = dict(batch_size=4, dataset=dict(pipeline=pipelines.strong_unlabeled))
model = dict(type="AugSegSegmentor", decode_head=dict(num_classes=21))
train_cfg = dict(type="PseudoLabelLoop", max_epochs=_base_.max_epochs, pseudo_labels_from="ema")
default_hooks = dict(
    # in the first epoch the teacher is a copy of the student: mmengine counts epochs from 1
    ema=dict(type="MeanTeacherHook", momentum=0.001, begin_epoch=2, evaluated="teacher"),
)
# 4 GPUs x 4 labeled images
auto_scale_lr = dict(base_batch_size=16)
