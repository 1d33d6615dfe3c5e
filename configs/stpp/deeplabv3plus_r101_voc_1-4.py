# ST++, PASCAL VOC 2012 original, 366 labeled images, R101-DeepLabV3+ at stride 8, crop 321, three times 80 epochs.
# python tools/self_training.py configs/stpp/deeplabv3plus_r101_voc_1-4.py --gpus 4
# paper mIoU 74.6 (as quoted by CorrMatch and ESL)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/voc2012_crop-321.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
from mmseg_allspark.datasets import semi_pipelines

# the release draws long sides from 200 to 800; the images have 500
pipelines = semi_pipelines(_base_.crop_size, num_classes=21, ratio_range=(0.4, 1.6))
# 4 GPUs x (2 + 2) images; the first training: 4 GPUs x 4 labeled images, an epoch being one pass over them
train_dataloader = dict(dataset=dict(ann_file="splits/voc/366/labeled.txt", pipeline=pipelines.weak_labeled))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/366/unlabeled.txt", pipeline=pipelines.pseudo_labeled))
model = dict(
    type="SelfTrainingSegmentor",
    backbone=dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
    decode_head=dict(num_classes=21, dilations=(1, 12, 24, 36)),
)
train_cfg = dict(type="PseudoLabelLoop", max_epochs=_base_.max_epochs, pseudo_labels_from="data")
self_training = dict(
    supervised=dict(
        train_cfg=dict(_delete_=True, type="SupervisedLoop", max_epochs=_base_.max_epochs),
        train_dataloader=dict(batch_size=4, drop_last=True, sampler=dict(type="DefaultSampler")),
        auto_scale_lr=dict(base_batch_size=16),
    )
)
