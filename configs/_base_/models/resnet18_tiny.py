# A quarter-width ResNet-18 (stride 16) with the MLP head: 0.7 M parameters, trains from scratch in minutes on a CPU.
_base_ = "encoder_decoder.py"
model = dict(
    backbone=dict(
        type="ResNetV1c",
        depth=18,
        stem_channels=16,
        base_channels=16,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        dilations=(1, 1, 1, 1),
        strides=(1, 2, 2, 1),
        norm_cfg=_base_.norm_cfg,
        norm_eval=False,
        style="pytorch",
    ),
    decode_head=dict(
        type="SegformerMLPHead",
        in_channels=[16, 32, 64, 128],
        in_index=[0, 1, 2, 3],
        channels=64,
        dropout_ratio=0.1,
        num_classes=8,
        norm_cfg=_base_.norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    ),
)
