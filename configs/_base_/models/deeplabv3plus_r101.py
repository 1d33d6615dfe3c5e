# DeepLabV3+ with ResNet-101 at stride 16: the network of UniMatch's release, on which the papers' R101 figures rest.
# Its stem is 64-64-128 wide (mmseg's V1c: 32-32-64) and needs ImageNet weights of that form: the file that UniMatch's
# README links as "ResNet-101", or timm's resnet101s.gluon_in1k, converted by
#   python tools/convert_reference_checkpoint.py resnet101.pth weights/resnet101_deep-stem.pth --backbone-only
_base_ = "encoder_decoder.py"
model = dict(
    pretrained="weights/resnet101_deep-stem.pth",
    backbone=dict(
        type="ResNetV1c",
        depth=101,
        stem_channels=128,
        zero_init_residual=False,
        num_stages=4,
        out_indices=(0, 3),
        dilations=(1, 1, 1, 2),
        strides=(1, 2, 2, 1),
        norm_cfg=_base_.norm_cfg,
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
        norm_cfg=_base_.norm_cfg,
        # avg_non_ignore: the mean is over labeled pixels, as in the release
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    ),
)
