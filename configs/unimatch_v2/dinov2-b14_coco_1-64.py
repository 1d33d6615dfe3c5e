# UniMatch V2, DINOv2-B, COCO 2017, 81 classes, 1849 labeled images.
# tools/dist_train.sh configs/unimatch_v2/dinov2-b14_coco_1-64.py 4
# paper mIoU 60.4 (UniMatch V2's README); this file: tools/dev/make_configs.py
_base_ = "dinov2-b14_coco_1-512.py"
train_dataloader = dict(dataset=dict(ann_file="splits/coco/1_64/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/coco/1_64/unlabeled.txt"))
