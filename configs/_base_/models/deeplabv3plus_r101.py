# DeepLabV3+ with ResNet-101 at stride 16: the network of UniMatch's release, on which the papers' R101 figures rest.
# Its stem is 64-64-128 wide (mmseg's V1c: 32-32-64) and needs ImageNet weights of that form: the file that UniMatch's
# README links as "ResNet-101", or timm's resnet101s.gluon_in1k, converted by
#   python tools/convert_reference_checkpoint.py resnet101.pth weights/resnet101_deep-stem.pth --backbone-only
norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    type="EncoderDecoder",
    pretrained="weights/resnet101_deep-stem.pth",
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
        type="ResNetV1c",
        depth=101,
        stem_channels=128,
        zero_init_residual=False,
        num_stages=4,
        out_indices=(0, 3),
        dilations=(1, 1, 1, 2),
        strides=(1, 2, 2, 1),
        norm_cfg=norm_cfg,
        norm_eval=False,
        style="pytorch",
        contract_dilation=True,
    ),
    decode_head=dict(
        type="DeepLabV3PlusHead",
        in_channels=2048,
        in_index=-1,
        channels=256,
        c1_in_channels=256,
        c1_channels=48,
        num_classes=19,
        norm_cfg=norm_cfg,
        # avg_non_ignore: the mean is over labeled pixels, as in the release
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
