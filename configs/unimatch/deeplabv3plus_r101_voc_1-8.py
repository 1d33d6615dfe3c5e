# UniMatch, PASCAL VOC 2012 original, 183 labeled images, R101-DeepLabV3+, crop 321, 80 epochs.
# tools/dist_train.sh configs/unimatch/deeplabv3plus_r101_voc_1-8.py 4
# paper mIoU 77.2 (UniMatch's README)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/voc2012_crop-321.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.two_strong_unlabeled))
model = dict(type="UniMatchSegmentor", decode_head=dict(num_classes=21))
train_cfg = dict(type="PseudoLabelLoop", max_epochs=_base_.max_epochs)
