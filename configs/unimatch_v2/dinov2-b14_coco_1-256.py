# UniMatch V2, DINOv2-B, COCO 2017, 81 classes, 463 labeled images.
# tools/dist_train.sh configs/unimatch_v2/dinov2-b14_coco_1-256.py 4
# paper mIoU 55.8 (UniMatch V2's README); this file: tools/dev/make_configs.py
_base_ = "dinov2-b14_coco_1-512.py"
train_dataloader = dict(dataset=dict(ann_file="splits/coco/1_256/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/coco/1_256/unlabeled.txt"))
