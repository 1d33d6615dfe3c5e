# CorrMatch, Cityscapes 1/16, 186 labeled images, R101-DeepLabV3+ at stride 8, crop 801, 240 epochs.
# tools/dist_train.sh configs/corrmatch/deeplabv3plus_r101_cityscapes_1-16.py 4
# paper mIoU 77.3 (CorrMatch's README)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/sgd_poly_cityscapes_240e.py",
    "../_base_/default_runtime.py",
]
train_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.weak_labeled))
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
model = dict(
    type="CorrMatchSegmentor",
    backbone=dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
    decode_head=dict(
        dilations=(1, 12, 24, 36),
        loss_decode=dict(_delete_=True, type="OhemLoss", thresh=0.7, min_kept=100_000),
    ),
    test_cfg=dict(mode="slide", crop_size=(801, 801), stride=(534, 534)),
)
train_cfg = dict(type="PseudoLabelLoop", max_epochs=_base_.max_epochs)
