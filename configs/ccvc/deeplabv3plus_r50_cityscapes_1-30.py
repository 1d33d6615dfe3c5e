# CCVC, R50-DeepLabV3+, Cityscapes, 100 labeled images.
# tools/dist_train.sh configs/ccvc/deeplabv3plus_r50_cityscapes_1-30.py 4
# the paper's figure is not listed; this file: tools/dev/make_configs.py
_base_ = "deeplabv3plus_r50_cityscapes_1-16.py"
train_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_30/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_30/unlabeled.txt"))
