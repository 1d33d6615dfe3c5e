# PseudoSeg, R101-DeepLabV3+, COCO 2017, 81 classes, 463 labeled images.
# tools/dist_train.sh configs/pseudoseg/deeplabv3plus_r101_coco_1-256.py 4
# paper mIoU 37.11 (AllSpark's paper, backbone not named); this file: tools/dev/make_configs.py
_base_ = "deeplabv3plus_r101_coco_1-512.py"
train_dataloader = dict(dataset=dict(ann_file="splits/coco/1_256/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/coco/1_256/unlabeled.txt"))
