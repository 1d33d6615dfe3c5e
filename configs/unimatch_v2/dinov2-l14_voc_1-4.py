# UniMatch V2, DINOv2-L, PASCAL VOC 2012 original, 366 labeled images.
# tools/dist_train.sh configs/unimatch_v2/dinov2-l14_voc_1-4.py 4
# paper mIoU 90.3 (UniMatch V2's logs); this file: tools/dev/make_configs.py
_base_ = "dinov2-l14_voc_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/366/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/366/unlabeled.txt"))
