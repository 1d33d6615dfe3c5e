# CPS + CutMix, R50-DeepLabV3+, Cityscapes, 744 labeled images.
# tools/dist_train.sh configs/cps/deeplabv3plus_r50_cityscapes_1-4_cutmix.py 4
# the paper's figure is not listed; this file: tools/dev/make_configs.py
_base_ = "deeplabv3plus_r50_cityscapes_1-8_cutmix.py"
train_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_4/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_4/unlabeled.txt"))
