# SemiCVT, R101, Cityscapes, 744 labeled images.
# tools/dist_train.sh configs/semicvt/deeplabv3plus_r101_cityscapes_1-4.py 4
# the paper's figure is not listed; this file: tools/dev/make_configs.py
_base_ = "deeplabv3plus_r101_cityscapes_1-16.py"
train_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_4/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_4/unlabeled.txt"))
