# PseudoSeg, COCO 1/512, 232 labeled images, R101-DeepLabV3+ at stride 16, crop 513, 200 000 steps.
# tools/dist_train.sh configs/pseudoseg/deeplabv3plus_r101_coco_1-512.py 4
# paper mIoU 29.78 (AllSpark's paper, backbone not named)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/coco81_pseudoseg.py",
    "../_base_/schedules/sgd_poly_pseudoseg_200k.py",
    "../_base_/default_runtime.py",
]
model = dict(
    type="PseudoSegSegmentor",
    backbone=dict(out_indices=(0, 2, 3)),
    attention=dict(in_channels=(2048, 1024)),
    decode_head=dict(num_classes=81),
)
