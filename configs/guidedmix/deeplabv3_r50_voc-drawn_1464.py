# GuidedMix-Net as released, R50-DeepLabV3, PASCAL VOC 2012 augmented, 1464 labeled images (own draw), crop 512, 20k.
# tools/dist_train.sh configs/guidedmix/deeplabv3_r50_voc-drawn_1464.py 4
# the paper's figure is not listed
# Options as in the released code. What differs: lists drawn here, pairs redrawn in every pass, lambda of each rank
# its own, no mask chooses the crop of an unlabeled image, the image pool's statistics are updated once a half.
_base_ = [
    "../_base_/models/deeplabv3_r50.py",
    "../_base_/datasets/voc2012_guidedmix.py",
    "../_base_/schedules/sgd_poly_guidedmix_20k.py",
    "../_base_/default_runtime.py",
]
model = dict(type="GuidedMixSegmentor")
