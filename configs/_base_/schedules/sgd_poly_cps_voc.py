# CPS's schedule on VOC: as many steps for every split, SGD 0.0025 everywhere, poly 0.9, no decay of norms and biases.
# The release divides each loss by the number of GPUs before the backward pass and averages the gradients after it. With
# plain averages its rate is 0.0025 and its weight decay 4e-4, where its scripts for 4 GPUs say 0.01 and 1e-4.
_base_ = "../default_hooks.py"
max_iters = 39_680
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.0025, momentum=0.9, weight_decay=4e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(type="PseudoLabelLoop", max_iters=max_iters, val_interval=2000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
log_processor = dict(by_epoch=False)
default_hooks = dict(
    logger=dict(interval=50, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=2000, max_keep_ckpts=2, save_best="mIoU", rule="greater"),
    pseudo_label_pictures=dict(interval=5000),
)
# 4 GPUs x 2 labeled images
auto_scale_lr = dict(enable=False, base_batch_size=8)
