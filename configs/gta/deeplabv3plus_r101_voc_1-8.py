# GTA-Seg, PASCAL VOC 2012 original, 183 labeled images, R101-DeepLabV3+ at stride 8, crop 513, 80 epochs.
# tools/dist_train.sh configs/gta/deeplabv3plus_r101_voc_1-8.py 4
# paper mIoU 73.16 (table 1 of ESL's paper)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/voc2012.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
# 4 GPUs x (3 labeled + 3 unlabeled images), all without colour changes
train_dataloader = dict(batch_size=3, dataset=dict(pipeline=_base_.pipelines.weak_labeled))
unlabeled_dataloader = dict(batch_size=3)
model = dict(
    type="GTASegmentor",
    backbone=dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
    decode_head=dict(num_classes=21, dilations=(1, 12, 24, 36), c1_channels=256, dropout_ratio=0.1),
)
train_cfg = dict(
    type="PseudoLabelLoop",
    max_epochs=_base_.max_epochs,
    pseudo_labels_from="ema",
    burn_in_iters=866,  # the first epoch learns from labeled images alone
)
default_hooks = dict(
    # in the first epoch the teacher is a copy of the student: mmengine counts epochs from 1
    ema=dict(
        type="MeanTeacherHook",
        momentum=0.001,
        warmup=True,
        begin_epoch=2,
        buffers="own",
        evaluated="teacher",
    ),
)
# 4 GPUs x 3 labeled images
auto_scale_lr = dict(base_batch_size=12)
