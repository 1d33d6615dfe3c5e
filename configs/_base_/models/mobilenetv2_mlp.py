# MobileNetV2 (ImageNet) with the MLP head, 128 wide: 2 M parameters, trains on photographs in an hour on a CPU.
norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=1,  # crops already have one size: the pipelines pad them
    ),
    backbone=dict(
        type="MobileNetV2",
        out_indices=(1, 2, 4, 6),
        frozen_stages=2,  # half the time of a step
        norm_cfg=norm_cfg,
        init_cfg=dict(type="Pretrained", checkpoint="mmcls://mobilenet_v2"),
    ),
    decode_head=dict(
        type="SegformerMLPHead",
        in_channels=[24, 32, 96, 320],
        in_index=[0, 1, 2, 3],
        channels=128,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
