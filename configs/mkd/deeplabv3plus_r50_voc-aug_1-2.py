# MKD, R50-DeepLabV3+, PASCAL VOC 2012 augmented, 5291 labeled images.
# tools/dist_train.sh configs/mkd/deeplabv3plus_r50_voc-aug_1-2.py 4
# the paper's figure is not listed; this file: tools/dev/make_configs.py
_base_ = "deeplabv3plus_r50_voc-aug_1-16.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/1_2/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/1_2/unlabeled.txt"))
