# CCVC, R101-DeepLabV3+, PASCAL VOC 2012 original, 366 labeled images.
# tools/dist_train.sh configs/ccvc/deeplabv3plus_r101_voc_1-4.py 4
# the paper's figure is not listed; this file: tools/dev/make_configs.py
_base_ = "deeplabv3plus_r101_voc_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/366/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/366/unlabeled.txt"))
