# UniMatch V2, PASCAL VOC 2012 original, 183 labeled images, DINOv2-L, crop 518, 60 epochs.
# tools/dist_train.sh configs/unimatch_v2/dinov2-l14_voc_1-8.py 4
# paper mIoU 87.6 (UniMatch V2's logs)
_base_ = "dinov2-b14_voc_1-8.py"
checkpoint = (
    "https://download.openmmlab.com/mmpretrain/v1.0/dinov2/vit-large-p14_dinov2-pre_3rdparty_20230426-f3302d9e.pth"
)
model = dict(
    backbone=dict(arch="large", init_cfg=dict(checkpoint=checkpoint)),
    decode_head=dict(in_channels=[1024] * 4, channels=256, level_channels=[256, 512, 1024, 1024]),
)
