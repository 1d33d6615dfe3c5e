# CPS, PASCAL VOC 2012 augmented, 1323 labeled images, R50-DeepLabV3+, crop 512, 39 680 steps.
# tools/dist_train.sh configs/cps/deeplabv3plus_r50_voc-aug_1-8.py 4
# paper mIoU 73.2 (start page of CPS's release)
_base_ = [
    "../_base_/models/deeplabv3plus_r50.py",
    "../_base_/datasets/voc2012_crop-512.py",
    "../_base_/schedules/sgd_poly_cps_voc.py",
    "../_base_/default_runtime.py",
]
model = dict(type="CPSSegmentor", unsup_weight=1.5, separate_norm=True, decode_head=dict(num_classes=21))
