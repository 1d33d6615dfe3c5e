# AllSpark with what keeps self-training from collapsing on MobileNetV2, CamVid 1/16, crop 257.
# The optimizer is that of the other MobileNetV2 configs; not measured.
_base_ = "segformer_b0_camvid_1-16_robust.py"
model = dict(
    backbone=dict(
        _delete_=True,
        type="MobileNetV2",
        out_indices=(1, 2, 4, 6),
        frozen_stages=2,  # half the time of a step
        norm_cfg=_base_.norm_cfg,
        init_cfg=dict(type="Pretrained", checkpoint="mmcls://mobilenet_v2"),
    ),
    decode_head=dict(in_channels=[24, 32, 96, 320], channels=128),
    neck=dict(in_channels=320),
)
optim_wrapper = dict(optimizer=dict(_delete_=True, type="AdamW", lr=3e-4, weight_decay=0.01))
default_hooks = dict(channels_last=dict(type="ChannelsLastHook"))  # half the time of a step on a CPU
