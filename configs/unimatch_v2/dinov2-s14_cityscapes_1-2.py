# UniMatch V2, DINOv2-S, Cityscapes, 1488 labeled images.
# tools/dist_train.sh configs/unimatch_v2/dinov2-s14_cityscapes_1-2.py 4
# paper mIoU 82.6 (UniMatch V2's logs); this file: tools/dev/make_configs.py
_base_ = "dinov2-s14_cityscapes_1-16.py"
train_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_2/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_2/unlabeled.txt"))
