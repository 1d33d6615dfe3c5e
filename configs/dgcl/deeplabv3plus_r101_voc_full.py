# DGCL, R101-DeepLabV3+, PASCAL VOC 2012 original, 1464 labeled images.
# tools/dist_train.sh configs/dgcl/deeplabv3plus_r101_voc_full.py 4
# the paper's figure is not listed; this file: tools/dev/make_configs.py
_base_ = "deeplabv3plus_r101_voc_1-2.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/1464/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/1464/unlabeled.txt"))
