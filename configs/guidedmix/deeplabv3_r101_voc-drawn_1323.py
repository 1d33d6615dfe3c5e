# GuidedMix-Net as released, R101-DeepLabV3, PASCAL VOC 2012 augmented, 1323 labeled images (own draw), crop 512, 40k.
# tools/dist_train.sh configs/guidedmix/deeplabv3_r101_voc-drawn_1323.py 4
# the paper's figure is not listed
_base_ = [
    "../_base_/models/deeplabv3_r50.py",
    "../_base_/datasets/voc2012_guidedmix.py",
    "../_base_/schedules/sgd_poly_guidedmix_40k.py",
    "../_base_/default_runtime.py",
]
model = dict(type="GuidedMixSegmentor", pretrained="open-mmlab://resnet101_v1c", backbone=dict(depth=101))
train_dataloader = dict(dataset=dict(ann_file="splits/guidedmix/1323/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/guidedmix/1323/unlabeled.txt"))
