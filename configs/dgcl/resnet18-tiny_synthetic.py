# DGCL, synthetic data set, from scratch, 8 + 4 images.
# Burn-in and ramp-up because it starts from random weights; a small projection and memory because it is small.
# python tools/prepare/synthetic.py && python tools/train.py configs/dgcl/resnet18-tiny_synthetic.py
_base_ = "../supervised/resnet18-tiny_synthetic.py"
model = dict(
    type="DGCLSegmentor",
    projection_channels=32,
    contrast=dict(rows=1000, rows_per_step=100, density_rows=100, max_pixels=1000, start_when="class_full"),
)
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(ema=dict(buffers="own", **_base_.teacher))
