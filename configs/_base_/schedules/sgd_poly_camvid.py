# SGD, poly 0.9 per iteration, 1200 steps (about 7 passes over the 344 unlabeled images of split 1/16 at batch 2).
_base_ = "../default_hooks.py"
max_iters = 1200
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.001, momentum=0.9, weight_decay=1e-4),
    # everything outside the backbone learns 10 times faster
    paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=10.0), decode_head=dict(lr_mult=10.0))),
)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(type="SupervisedLoop", max_iters=max_iters, val_interval=150)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
log_processor = dict(by_epoch=False)
default_hooks = dict(
    logger=dict(interval=25, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=150, max_keep_ckpts=2, save_best="mIoU", rule="greater"),
    pseudo_label_pictures=dict(interval=150),
)
# one GPU; counts the labeled images of a step
auto_scale_lr = dict(enable=False, base_batch_size=2)
