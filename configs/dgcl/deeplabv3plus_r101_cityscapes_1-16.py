# DGCL, R101-DeepLabV3+, Cityscapes, 186 labeled images.
# tools/dist_train.sh configs/dgcl/deeplabv3plus_r101_cityscapes_1-16.py 4
# the paper's figure is not listed; this file: tools/dev/make_configs.py
_base_ = "deeplabv3plus_r101_cityscapes_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_16/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_16/unlabeled.txt"))
