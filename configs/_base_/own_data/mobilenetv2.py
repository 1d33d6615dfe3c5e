# What the own-data configs build on with MobileNetV2: the fastest on a CPU. docs/backbones.md compares the backbones.
_base_ = [
    "../models/mobilenetv2_mlp.py",
    "../datasets/semi.py",
    "../schedules/sgd_poly_camvid.py",
    "../default_runtime.py",
]
crop_size = (257, 257)  # (h, w)
stride = 32  # of the deepest features, in pixels
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="AdamW", lr=3e-4, weight_decay=0.01),
    # AdamW makes the neck's attention outgrow the features at a higher rate than the backbone's
    paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=1.0))),
)
default_hooks = dict(channels_last=dict(type="ChannelsLastHook"))  # half the time of a step on a CPU
