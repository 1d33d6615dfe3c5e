# PseudoSeg, R101-DeepLabV3+, COCO 2017, 81 classes, 1849 labeled images.
# tools/dist_train.sh configs/pseudoseg/deeplabv3plus_r101_coco_1-64.py 4
# paper mIoU 41.75 (AllSpark's paper, backbone not named); this file: tools/dev/make_configs.py
_base_ = "deeplabv3plus_r101_coco_1-512.py"
train_dataloader = dict(dataset=dict(ann_file="splits/coco/1_64/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/coco/1_64/unlabeled.txt"))
