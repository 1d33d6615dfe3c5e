# What the own-data configs build on with DINOv2 ViT-S/14. docs/backbones.md compares the backbones.
_base_ = [
    "../models/dinov2-s14_dpt.py",
    "../datasets/semi.py",
    "../schedules/sgd_poly_camvid.py",
    "../default_runtime.py",
]
custom_imports = dict(imports=["mmseg_allspark", "mmseg_allspark.models.backbones.dinov2"])
crop_size = (252, 252)  # (h, w), multiples of the patches of 14 pixels
stride = 14  # of the features, in pixels
optim_wrapper = dict(  # the rates of UniMatch V2
    optimizer=dict(_delete_=True, type="AdamW", lr=5e-6, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=40.0), decode_head=dict(lr_mult=40.0))),
)
