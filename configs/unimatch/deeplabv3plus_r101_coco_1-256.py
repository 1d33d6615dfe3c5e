# UniMatch, R101-DeepLabV3+, COCO 2017, 81 classes, 463 labeled images.
# tools/dist_train.sh configs/unimatch/deeplabv3plus_r101_coco_1-256.py 4
# not in the paper; this file: tools/dev/make_configs.py
_base_ = "deeplabv3plus_r101_coco_1-512.py"
train_dataloader = dict(dataset=dict(ann_file="splits/coco/1_256/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/coco/1_256/unlabeled.txt"))
