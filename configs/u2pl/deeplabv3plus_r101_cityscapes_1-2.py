# U2PL, R101-DeepLabV3+, Cityscapes, 1488 labeled images.
# tools/dist_train.sh configs/u2pl/deeplabv3plus_r101_cityscapes_1-2.py 4
# U2PL's figures are for its own lists; this file: tools/dev/make_configs.py
_base_ = "deeplabv3plus_r101_cityscapes_1-16.py"
train_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_2/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_2/unlabeled.txt"))
