# DeepLabV3+ with ResNet-50 at stride 16, the last level's blocks dilated 2, 4 and 8: the backbone of CPS's release.
_base_ = "deeplabv3plus_r101.py"
model = dict(
    pretrained="open-mmlab://resnet50_v1c",
    backbone=dict(depth=50, stem_channels=64, multi_grid=(2, 4, 8)),
)
