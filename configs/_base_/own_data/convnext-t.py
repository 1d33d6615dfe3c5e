# What the own-data configs build on with ConvNeXt-T. docs/backbones.md compares the backbones.
_base_ = [
    "../models/convnext-t_mlp.py",
    "../datasets/semi.py",
    "../schedules/sgd_poly_camvid.py",
    "../default_runtime.py",
]
custom_imports = dict(imports=["mmseg_allspark", "mmseg_allspark.models.backbones.from_mmpretrain"])
crop_size = (256, 256)  # (h, w), multiples of 32: ConvNeXt does not pad
stride = 32  # of the deepest features, in pixels
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="AdamW", lr=1e-4, weight_decay=0.05),
    # AdamW makes the neck's attention outgrow the features at a higher rate than the backbone's
    paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=1.0))),
)
