# DINOv2 ViT-B/14 with the DPT head: the network of UniMatch V2. The class registers itself by
#   custom_imports = dict(imports=["mmseg_allspark", "mmseg_allspark.models.backbones.dinov2"])
_base_ = "encoder_decoder.py"
model = dict(
    backbone=dict(
        type="DINOv2Backbone",
        arch="base",
        init_cfg=dict(
            type="Pretrained",
            checkpoint="https://download.openmmlab.com/mmpretrain/v1.0/dinov2/vit-base-p14_dinov2-pre_3rdparty_20230426-ba246503.pth",
            prefix="backbone.",
        ),
    ),
    decode_head=dict(
        type="PlainDPTHead",
        in_channels=[768, 768, 768, 768],
        in_index=[0, 1, 2, 3],
        channels=128,
        level_channels=[96, 192, 384, 768],
        num_classes=19,
        # avg_non_ignore: the mean is over labeled pixels, as in the release
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    ),
)
