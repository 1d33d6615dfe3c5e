# UniMatch, Cityscapes 1/16, 186 labeled images, R101-DeepLabV3+, crop 801, 240 epochs.
# tools/dist_train.sh configs/unimatch/deeplabv3plus_r101_cityscapes_1-16.py 4
# paper mIoU 76.6 (UniMatch's README)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/sgd_poly_cityscapes_240e.py",
    "../_base_/default_runtime.py",
]
train_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.weak_labeled))
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.two_strong_unlabeled))
model = dict(
    type="UniMatchSegmentor",
    decode_head=dict(loss_decode=dict(_delete_=True, type="OhemLoss", thresh=0.7, min_kept=200_000)),
    test_cfg=dict(mode="slide", crop_size=(801, 801), stride=(534, 534)),
    confidence=None,  # the release's threshold is 0 on Cityscapes
)
train_cfg = dict(type="PseudoLabelLoop", max_epochs=_base_.max_epochs)
