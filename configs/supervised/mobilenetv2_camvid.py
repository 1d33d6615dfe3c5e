# Supervised only, CamVid, crop 224, 4 images a step, evaluated as a moving average.
_base_ = [
    "../_base_/models/mobilenetv2_mlp.py",
    "../_base_/datasets/camvid_crop-224.py",
    "../_base_/schedules/adamw_poly_photos.py",
    "../_base_/default_runtime.py",
]
model = dict(decode_head=dict(num_classes=11))
