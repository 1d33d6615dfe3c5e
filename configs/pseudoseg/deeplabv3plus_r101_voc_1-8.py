# PseudoSeg, PASCAL VOC 2012 original, 183 labeled images, R101-DeepLabV3+ at stride 16, crop 513, 30 000 steps.
# tools/dist_train.sh configs/pseudoseg/deeplabv3plus_r101_voc_1-8.py 4
# paper mIoU 65.5 (AllSpark's paper, backbone not named)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/voc2012_pseudoseg.py",
    "../_base_/schedules/sgd_poly_pseudoseg_30k.py",
    "../_base_/default_runtime.py",
]
model = dict(
    type="PseudoSegSegmentor",
    backbone=dict(out_indices=(0, 2, 3)),
    attention=dict(in_channels=(2048, 1024)),
    decode_head=dict(num_classes=21),
)
