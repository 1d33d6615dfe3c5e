# AugSeg, Cityscapes 1/16, 186 labeled images, R101-DeepLabV3+, crop 800, 240 epochs.
# tools/dist_train.sh configs/augseg/deeplabv3plus_r101_cityscapes_1-16.py 4
# paper mIoU 75.22 (AugSeg's README)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/sgd_poly_cityscapes_240e.py",
    "../_base_/default_runtime.py",
]
# an import above _base_ would be another kind of config
from mmseg_allspark.datasets import semi_pipelines

pipelines = semi_pipelines((800, 800), num_classes=19, colour=[dict(type="RandomIntensity")])
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=pipelines.weak_labeled))
unlabeled_dataloader = dict(batch_size=4, dataset=dict(pipeline=pipelines.strong_unlabeled))
model = dict(
    type="AugSegSegmentor",
    decode_head=dict(loss_decode=dict(_delete_=True, type="OhemLoss", thresh=0.7, min_kept=100_000)),
    test_cfg=dict(mode="slide", crop_size=(800, 800), stride=(533, 533)),
    confidence=None,  # the release's threshold is negative on Cityscapes
)
optim_wrapper = dict(optimizer=dict(lr=0.01, weight_decay=5e-4))
train_cfg = dict(type="PseudoLabelLoop", max_epochs=_base_.max_epochs, pseudo_labels_from="ema")
default_hooks = dict(
    # in the first epoch the teacher is a copy of the student: mmengine counts epochs from 1
    ema=dict(type="MeanTeacherHook", momentum=0.004, begin_epoch=2, evaluated="teacher"),
)
# 4 GPUs x 4 labeled images
auto_scale_lr = dict(base_batch_size=16)
