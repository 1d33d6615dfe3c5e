# SemiCVT, R101, PASCAL VOC 2012 original, 732 labeled images.
# tools/dist_train.sh configs/semicvt/deeplabv3plus_r101_voc_1-2.py 4
# the paper's figure is not listed; this file: tools/dev/make_configs.py
_base_ = "deeplabv3plus_r101_voc_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/732/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/732/unlabeled.txt"))
