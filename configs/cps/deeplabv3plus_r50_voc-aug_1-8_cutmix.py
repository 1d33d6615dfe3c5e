# CPS + CutMix, PASCAL VOC 2012 augmented, 1323 labeled images, R50-DeepLabV3+, crop 512, 39 680 steps.
# tools/dist_train.sh configs/cps/deeplabv3plus_r50_voc-aug_1-8_cutmix.py 4
# paper mIoU 73.67 (issue 14 of CPS's release)
_base_ = "deeplabv3plus_r50_voc-aug_1-8.py"
model = dict(unsup_weight=1.0, cutmix=dict(prob=1.0, boxes=3, area=(0.25, 0.5), aspect=None))
