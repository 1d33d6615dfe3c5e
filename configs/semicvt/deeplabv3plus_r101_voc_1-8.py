# SemiCVT, PASCAL VOC 2012 original, 183 labeled images, R101 and transformer at stride 8, crop 513, 80 epochs.
# tools/dist_train.sh configs/semicvt/deeplabv3plus_r101_voc_1-8.py 4
# the paper's figure is not listed
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/voc2012.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
# 4 GPUs x (4 labeled + 4 unlabeled images), all without colour changes
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=_base_.pipelines.weak_labeled))
unlabeled_dataloader = dict(batch_size=4)
model = dict(
    type="SemiCVTSegmentor",
    backbone=dict(type="ResNetCVT", strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
    decode_head=dict(
        type="TwoStreamHead", num_classes=21, dilations=(1, 12, 24, 36), c1_channels=256, dropout_ratio=0.1
    ),
)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(projectors=dict(lr_mult=10.0), graph=dict(lr_mult=10.0))),
)
train_cfg = dict(
    type="PseudoLabelLoop",
    max_epochs=_base_.max_epochs,
    pseudo_labels_from="ema",
    burn_in_iters=650,  # the first epoch learns from labeled images alone
)
default_hooks = dict(
    # in the first epoch the teacher is a copy of the student: mmengine counts epochs from 1
    ema=dict(
        type="MeanTeacherHook",
        momentum=0.01,
        warmup=True,
        begin_epoch=2,
        buffers="own",
        evaluated="teacher",
    ),
)
# 4 GPUs x 4 labeled images
auto_scale_lr = dict(base_batch_size=16)
