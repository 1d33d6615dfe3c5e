# MKD, PASCAL VOC 2012 augmented, 662 labeled images, R50-DeepLabV3+, crop 512, 30 000 steps.
# tools/dist_train.sh configs/mkd/deeplabv3plus_r50_voc-aug_1-16.py 4
# the paper's figure is not listed
_base_ = [
    "../_base_/models/deeplabv3plus_r50.py",
    "../_base_/datasets/voc2012_crop-512.py",
    "../_base_/schedules/sgd_poly_cps_voc.py",
    "../_base_/default_runtime.py",
]
# an import above _base_ would be another kind of config
from mmseg_allspark.datasets import semi_pipelines

max_iters = 30_000
norm_cfg = dict(type="SyncBN", requires_grad=True, momentum=0.001)
distorted = semi_pipelines((512, 512), num_classes=21, colour=[dict(type="PhotoMetricDistortion")])
train_dataloader = dict(batch_size=4, dataset=dict(ann_file="splits/voc/1_16/labeled.txt", pipeline=distorted.labeled))
unlabeled_dataloader = dict(
    batch_size=4,
    dataset=dict(ann_file="splits/voc/1_16/unlabeled.txt", pipeline=_base_.pipelines.strong_unlabeled),
)
model = dict(
    type="MKDSegmentor",
    separate_norm=True,
    backbone=dict(norm_cfg=norm_cfg, multi_grid=None),
    decode_head=dict(
        _delete_=True,
        type="DepthwiseSeparableASPPHead",
        in_channels=2048,
        in_index=-1,
        channels=256,
        dilations=(1, 6, 12, 18),
        c1_in_channels=256,
        c1_channels=48,
        dropout_ratio=0,
        num_classes=21,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    ),
)
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.0025, momentum=0.9, weight_decay=5e-4),
)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_begin=20_000, pseudo_labels_from="ema")
default_hooks = dict(
    ema=dict(type="MeanTeacherHook", momentum=0.4, warmup=True, buffers="own", evaluated="student"),
)
# 4 GPUs x 4 labeled images
auto_scale_lr = dict(base_batch_size=16)
