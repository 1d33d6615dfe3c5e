# SemiCVT, synthetic data set, from scratch, 8 + 4 images.
# Burn-in and ramp-up because it starts from random weights; a narrow transformer because the ResNet is narrow.
# python tools/prepare/synthetic.py && python tools/train.py configs/semicvt/resnet18-tiny_synthetic.py
_base_ = "../supervised/resnet18-tiny_synthetic.py"
model = dict(
    type="SemiCVTSegmentor",
    backbone=dict(type="ResNetCVT", width=32, num_heads=2),
    decode_head=dict(
        _delete_=True,
        type="TwoStreamHead",
        in_channels=128,
        channels=64,
        c1_in_channels=16,
        c1_channels=16,
        dropout_ratio=0.1,
        num_classes=8,
        norm_cfg=_base_.norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    ),
    feature_channels=32,
    projection_channels=32,
)
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(ema=dict(buffers="own", **_base_.teacher))
