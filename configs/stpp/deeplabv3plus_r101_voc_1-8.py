# ST++, PASCAL VOC 2012 original, 183 labeled images, R101-DeepLabV3+ at stride 8, crop 321.
# python tools/self_training.py configs/stpp/deeplabv3plus_r101_voc_1-8.py --gpus 4
# paper mIoU 71 (as quoted by CorrMatch and ESL)
_base_ = "deeplabv3plus_r101_voc_1-4.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/183/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/183/unlabeled.txt"))
# as the release, which repeats lists of fewer than 200 images: 160 passes over the labeled images in the first training
passes = 2 * _base_.max_epochs
self_training = dict(
    supervised=dict(
        train_cfg=dict(max_epochs=passes, val_interval=2), param_scheduler=[dict(_base_.param_scheduler[0], end=passes)]
    )
)
