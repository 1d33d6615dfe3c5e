# GuidedMix-Net as its papers describe it: our RECONSTRUCTION, the formulas could not be read. CamVid 1/16, MiT-B0.
_base_ = "segformer_b0_camvid_1-16.py"
model = dict(
    mix_level="image",
    pairing="similar",
    mitrans=dict(channels=256),
    direction="mixed_teacher",
    mixed_weight=1.0,
    unsup_loss=dict(type="PixelCrossEntropyLoss"),
    mask_padding=True,
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(mitrans=dict(lr_mult=10.0))))
