# DeepLabV3 with ResNet-50 at stride 8, its head in two parts (as mmseg's ASPPHead with the same weights).
_base_ = "deeplabv3plus_r101.py"
model = dict(
    pretrained="open-mmlab://resnet50_v1c",
    backbone=dict(depth=50, stem_channels=64, out_indices=(0, 1, 2, 3), dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1)),
    decode_head=dict(
        _delete_=True,
        type="SplitASPPHead",
        in_channels=2048,
        in_index=3,
        channels=512,
        dilations=(1, 12, 24, 36),
        dropout_ratio=0.1,
        num_classes=21,
        norm_cfg=_base_.norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss"),
    ),
)
