# MobileNetV2 (ImageNet) with the MLP head, 128 wide: 2 M parameters, trains on photographs in an hour on a CPU.
_base_ = "encoder_decoder.py"
model = dict(
    backbone=dict(
        type="MobileNetV2",
        out_indices=(1, 2, 4, 6),
        frozen_stages=2,  # half the time of a step
        norm_cfg=_base_.norm_cfg,
        init_cfg=dict(type="Pretrained", checkpoint="mmcls://mobilenet_v2"),
    ),
    decode_head=dict(
        type="SegformerMLPHead",
        in_channels=[24, 32, 96, 320],
        in_index=[0, 1, 2, 3],
        channels=128,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    ),
)
