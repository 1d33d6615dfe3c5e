# UniMatch V2, DINOv2-S, PASCAL VOC 2012 original, 1464 labeled images.
# tools/dist_train.sh configs/unimatch_v2/dinov2-s14_voc_full.py 4
# paper mIoU 87.8 (UniMatch V2's logs); this file: tools/dev/make_configs.py
_base_ = "dinov2-s14_voc_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/1464/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/1464/unlabeled.txt"))
