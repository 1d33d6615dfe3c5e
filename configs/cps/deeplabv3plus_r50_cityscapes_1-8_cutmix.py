# CPS + CutMix, Cityscapes 1/8, 372 labeled images, R50-DeepLabV3+, crop 800, 44 500 steps.
# tools/dist_train.sh configs/cps/deeplabv3plus_r50_cityscapes_1-8_cutmix.py 4
# the paper's figure is not listed
_base_ = "deeplabv3plus_r50_cityscapes_1-8.py"
model = dict(unsup_weight=5.0, cutmix=dict(prob=1.0, boxes=3, area=(0.25, 0.5), aspect=None))
