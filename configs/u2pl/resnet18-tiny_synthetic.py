# U2PL, synthetic data set, from scratch, 8 + 4 images.
# Burn-in and ramp-up because it starts from random weights; a small projection and memory because it is small.
# python tools/prepare/synthetic.py && python tools/train.py configs/u2pl/resnet18-tiny_synthetic.py
_base_ = "../supervised/resnet18-tiny_synthetic.py"
model = dict(
    type="U2PLSegmentor",
    projection_channels=32,
    contrast=dict(channels=32, rows=1024, rows_per_step=256, anchors=64),
)
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(ema=dict(buffers="own", **_base_.teacher))
