# CorrMatch, PASCAL VOC 2012 original, 183 labeled images, R101-DeepLabV3+ at stride 8, crop 321, 80 epochs.
# tools/dist_train.sh configs/corrmatch/deeplabv3plus_r101_voc_1-8.py 4
# paper mIoU 78.5 (CorrMatch's README)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/voc2012_crop-321.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
model = dict(
    type="CorrMatchSegmentor",
    backbone=dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
    decode_head=dict(num_classes=21, dilations=(1, 12, 24, 36)),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(correlation=dict(lr_mult=10.0))))
train_cfg = dict(type="PseudoLabelLoop", max_epochs=_base_.max_epochs)
