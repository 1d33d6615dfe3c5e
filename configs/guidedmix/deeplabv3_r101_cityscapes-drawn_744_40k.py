# GuidedMix-Net as released, R101-DeepLabV3, Cityscapes, 744 labeled images (own draw), crop 769, 40k.
# tools/dist_train.sh configs/guidedmix/deeplabv3_r101_cityscapes-drawn_744_40k.py 4
# the paper's figure is not listed
_base_ = [
    "../_base_/models/deeplabv3_r50.py",
    "../_base_/datasets/cityscapes_guidedmix.py",
    "../_base_/schedules/sgd_poly_guidedmix_40k.py",
    "../_base_/default_runtime.py",
]
model = dict(
    type="GuidedMixSegmentor",
    pretrained="open-mmlab://resnet101_v1c",
    backbone=dict(depth=101),
    decode_head=dict(num_classes=19),
)
auto_scale_lr = dict(base_batch_size=8)
