# GuidedMix-Net as released, R101-DeepLabV3, PASCAL VOC 2012 augmented, 2646 labeled images (own draw), crop 512, 20k.
# tools/dist_train.sh configs/guidedmix/deeplabv3_r101_voc-drawn_2646.py 4
# the paper's figure is not listed
_base_ = "deeplabv3_r50_voc-drawn_1464.py"
model = dict(pretrained="open-mmlab://resnet101_v1c", backbone=dict(depth=101))
train_dataloader = dict(dataset=dict(ann_file="splits/guidedmix/2646/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/guidedmix/2646/unlabeled.txt"))
