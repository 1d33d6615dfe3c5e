# CPS, Cityscapes 1/8, 372 labeled images, R50-DeepLabV3+, crop 800, 44 500 steps.
# tools/dist_train.sh configs/cps/deeplabv3plus_r50_cityscapes_1-8.py 4
# paper mIoU 74.39 (issue 43 of CPS's release)
_base_ = [
    "../_base_/models/deeplabv3plus_r50.py",
    "../_base_/datasets/cityscapes_crop-800.py",
    "../_base_/schedules/sgd_poly_cps_cityscapes.py",
    "../_base_/default_runtime.py",
]
model = dict(
    type="CPSSegmentor",
    unsup_weight=6.0,
    separate_norm=True,
    # 50 000 pixels of an image, as in the release
    decode_head=dict(loss_decode=dict(_delete_=True, type="OhemLoss", thresh=0.7, min_kept=100_000)),
    test_cfg=dict(mode="slide", crop_size=(800, 800), stride=(533, 533)),
)
