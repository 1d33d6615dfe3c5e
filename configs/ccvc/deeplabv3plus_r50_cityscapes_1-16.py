# CCVC, Cityscapes 1/16, 186 labeled images, R50-DeepLabV3+ at stride 8, crop 712, 250 epochs.
# tools/dist_train.sh configs/ccvc/deeplabv3plus_r50_cityscapes_1-16.py 4
# paper mIoU 74.88 (first network in the release's log)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/sgd_poly_cityscapes_240e.py",
    "../_base_/default_runtime.py",
]
# an import above _base_ would be another kind of config
from mmseg_allspark.datasets import semi_pipelines

max_epochs = 250
pipelines = semi_pipelines((712, 712), num_classes=19)
train_dataloader = dict(dataset=dict(pipeline=pipelines.weak_labeled))
unlabeled_dataloader = dict(dataset=dict(pipeline=pipelines.strong_unlabeled))
model = dict(
    type="CCVCSegmentor",
    sup_weight=1.0,
    unsup_weight=1.0,
    conflict_threshold=0.0,
    conflict_weight=2.0,
    separate_norm=True,
    pretrained="weights/resnet50_deep-stem.pth",
    backbone=dict(depth=50, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), multi_grid=(4, 8, 16)),
    decode_head=dict(dilations=(1, 12, 24, 36)),
    test_cfg=dict(mode="slide", crop_size=(712, 712), stride=(475, 475)),
)
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(type="PseudoLabelLoop", max_epochs=max_epochs)
