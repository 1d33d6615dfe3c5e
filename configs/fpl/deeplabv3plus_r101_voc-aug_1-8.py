# FPL on CPS + CutMix, PASCAL VOC 2012 augmented, 1323 labeled images, R101-DeepLabV3+ at stride 8, crop 512.
# tools/dist_train.sh configs/fpl/deeplabv3plus_r101_voc-aug_1-8.py 4
# paper mIoU 77.75 (table 2)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/voc2012_crop-512.py",
    "../_base_/schedules/sgd_poly_cps_voc.py",
    "../_base_/default_runtime.py",
]
model = dict(
    type="CPSSegmentor",
    unsup_weight=1.0,
    cutmix=dict(prob=1.0, boxes=3, area=(0.25, 0.5), aspect=None),
    pseudo_loss=dict(type="FuzzyPositiveLoss", threshold=0.9, weight="none"),  # the script for VOC has no weight
    separate_norm=True,
    backbone=dict(dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1)),
    decode_head=dict(num_classes=21),
)
optim_wrapper = dict(optimizer=dict(weight_decay=8e-4))  # as CPS's, of a script for 8 GPUs
