# SemiCVT, Cityscapes 1/16, 186 labeled images, R101 and transformer at stride 8, crop 769, 200 epochs.
# tools/dist_train.sh configs/semicvt/deeplabv3plus_r101_cityscapes_1-16.py 4
# the paper's figure is not listed
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/sgd_poly_cityscapes_240e.py",
    "../_base_/default_runtime.py",
]
# an import above _base_ would be another kind of config
from mmseg_allspark.datasets import semi_pipelines

max_epochs = 200
pipelines = semi_pipelines((769, 769), num_classes=19)
# 4 GPUs x (4 labeled + 4 unlabeled images), all without colour changes
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=pipelines.weak_labeled))
unlabeled_dataloader = dict(batch_size=4, dataset=dict(pipeline=pipelines.unlabeled))
model = dict(
    type="SemiCVTSegmentor",
    backbone=dict(type="ResNetCVT", strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
    decode_head=dict(
        type="TwoStreamHead",
        dilations=(1, 12, 24, 36),
        c1_channels=256,
        dropout_ratio=0.1,
        loss_decode=dict(_delete_=True, type="OhemLoss", thresh=0.7, min_kept=100_000),
    ),
    test_cfg=dict(mode="slide", crop_size=(769, 769), stride=(513, 513)),
)
optim_wrapper = dict(optimizer=dict(lr=0.01, weight_decay=5e-4))
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(type="PseudoLabelLoop", max_epochs=max_epochs, pseudo_labels_from="ema")
default_hooks = dict(
    ema=dict(type="MeanTeacherHook", momentum=0.01, warmup=True, buffers="own", evaluated="teacher"),
)
# 4 GPUs x 4 labeled images
auto_scale_lr = dict(base_batch_size=16)
