# UniMatch V2, ADE20K 1/16, 1263 labeled images, DINOv2-S, crop 518, 60 epochs.
# tools/dist_train.sh configs/unimatch_v2/dinov2-s14_ade20k_1-16.py 4
# paper mIoU 40.7 (UniMatch V2's logs)
_base_ = "dinov2-b14_ade20k_1-16.py"
checkpoint = (
    "https://download.openmmlab.com/mmpretrain/v1.0/dinov2/vit-small-p14_dinov2-pre_3rdparty_20230426-5641ca5a.pth"
)
model = dict(
    backbone=dict(arch="small", init_cfg=dict(checkpoint=checkpoint)),
    decode_head=dict(in_channels=[384] * 4, channels=64, level_channels=[48, 96, 192, 384]),
)
