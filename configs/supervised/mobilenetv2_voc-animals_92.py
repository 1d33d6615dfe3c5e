# Supervised only, VOC animals (the images of split 92 that hold them), crop 224, evaluated as a moving average.
_base_ = [
    "../_base_/models/mobilenetv2_mlp.py",
    "../_base_/datasets/voc_animals.py",
    "../_base_/schedules/adamw_poly_photos.py",
    "../_base_/default_runtime.py",
]
model = dict(decode_head=dict(num_classes=7))
