# DINOv2 ViT-S/14 with the DPT head of UniMatch V2's small model.
_base_ = "dinov2-b14_dpt.py"
checkpoint = (
    "https://download.openmmlab.com/mmpretrain/v1.0/dinov2/vit-small-p14_dinov2-pre_3rdparty_20230426-5641ca5a.pth"
)
model = dict(
    backbone=dict(arch="small", init_cfg=dict(checkpoint=checkpoint)),
    decode_head=dict(in_channels=[384] * 4, channels=64, level_channels=[48, 96, 192, 384]),
)
