# FPL on CPS + CutMix, Cityscapes 1/8, 372 labeled images, R101-DeepLabV3+ at stride 8, crop 800.
# tools/dist_train.sh configs/fpl/deeplabv3plus_r101_cityscapes_1-8.py 4
# paper mIoU 78.47 (table 3)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/cityscapes_crop-800.py",
    "../_base_/schedules/sgd_poly_cps_cityscapes.py",
    "../_base_/default_runtime.py",
]
model = dict(
    type="CPSSegmentor",
    unsup_weight=5.0,
    cutmix=dict(prob=1.0, boxes=3, area=(0.25, 0.5), aspect=None),
    pseudo_loss=dict(type="FuzzyPositiveLoss", threshold=0.9, weight="concave"),
    separate_norm=True,
    backbone=dict(dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1)),
    # 50 000 pixels of an image, as in the release
    decode_head=dict(loss_decode=dict(_delete_=True, type="OhemLoss", thresh=0.7, min_kept=100_000)),
    test_cfg=dict(mode="slide", crop_size=(800, 800), stride=(533, 533)),
)
