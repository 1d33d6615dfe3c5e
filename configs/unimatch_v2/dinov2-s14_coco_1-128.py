# UniMatch V2, DINOv2-S, COCO 2017, 81 classes, 925 labeled images.
# tools/dist_train.sh configs/unimatch_v2/dinov2-s14_coco_1-128.py 4
# paper mIoU 53.2 (UniMatch V2's logs); this file: tools/dev/make_configs.py
_base_ = "dinov2-s14_coco_1-512.py"
train_dataloader = dict(dataset=dict(ann_file="splits/coco/1_128/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/coco/1_128/unlabeled.txt"))
