# GuidedMix-Net as its papers describe it: our RECONSTRUCTION, the formulas could not be read. Embedded data set.
_base_ = "resnet18-tiny_synthetic.py"
model = dict(
    mix_level="image",
    pairing="similar",
    mitrans=dict(channels=64),
    direction="mixed_teacher",
    mixed_weight=1.0,
    unsup_loss=dict(type="PixelCrossEntropyLoss"),
    mask_padding=True,
)
