# Supervised only, CamVid 1/16 (23 labeled images), quarter-width ResNet-18 from scratch, 120 short steps: the CNN that
# docs/figures.md compares with MiT-B0. Minutes on a CPU, not a baseline of any table.
# python tools/train.py configs/supervised/resnet18-tiny_camvid_1-16.py
_base_ = [
    "../_base_/models/resnet18_tiny.py",
    "../_base_/datasets/camvid.py",
    "../_base_/schedules/adamw_poly_synthetic.py",
    "../_base_/default_runtime.py",
]
max_iters = 120
model = dict(decode_head=dict(num_classes=11))
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(base_batch_size=2)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.03, by_epoch=False, begin=0, end=30),
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=30, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
