# GuidedMix-Net's schedule: SGD 0.01 everywhere, weight decay 5e-4, poly 0.9 to 1e-4 over 20 000 iterations.
_base_ = "../default_hooks.py"
max_iters = 20_000
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=5e-4),
)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=1e-4, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(type="PseudoLabelLoop", max_iters=max_iters, val_interval=2000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
log_processor = dict(by_epoch=False)
default_hooks = dict(
    logger=dict(interval=50, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=2000, max_keep_ckpts=2, save_best="mIoU", rule="greater"),
    pseudo_label_pictures=dict(interval=2000),
)
# 4 GPUs x 4 labeled images (the release's Cityscapes configs: 4 x 2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
