# U2PL, R101-DeepLabV3+, PASCAL VOC 2012 augmented, U2PL's splits, 662 labeled images.
# tools/dist_train.sh configs/u2pl/deeplabv3plus_r101_voc-u2pl_1-16.py 4
# paper mIoU 77.21 (U2PL's README); this file: tools/dev/make_configs.py
_base_ = "deeplabv3plus_r101_voc_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/u2pl_1_16/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/u2pl_1_16/unlabeled.txt"))
