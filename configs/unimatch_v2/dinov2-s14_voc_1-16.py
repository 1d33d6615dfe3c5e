# UniMatch V2, DINOv2-S, PASCAL VOC 2012 original, 92 labeled images.
# tools/dist_train.sh configs/unimatch_v2/dinov2-s14_voc_1-16.py 4
# paper mIoU 79 (UniMatch V2's logs); this file: tools/dev/make_configs.py
_base_ = "dinov2-s14_voc_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/92/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/92/unlabeled.txt"))
