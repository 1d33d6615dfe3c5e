# An hour on a CPU core: AdamW, warm-up and poly decay, a head ten times as fast; moving averages are evaluated.
# The neck learns at the backbone's rate. At ten times that rate its attention outgrows the features it is added to.
_base_ = "../default_hooks.py"
max_iters = 2000
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=3e-4, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=50, end=max_iters, by_epoch=False),
]
train_cfg = dict(type="SupervisedLoop", max_iters=max_iters, val_interval=max_iters // 8)
# for methods with unlabeled images
semi_train_cfg = dict(
    type="PseudoLabelLoop",
    max_iters=max_iters,
    val_interval=max_iters // 8,
    burn_in_iters=max_iters // 5,
    ramp_up_iters=max_iters // 10,
)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
log_processor = dict(by_epoch=False)
default_hooks = dict(
    logger=dict(interval=25, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=max_iters // 8, max_keep_ckpts=1),
    pseudo_label_pictures=dict(interval=max_iters // 8),
    ema=dict(type="EMAHook", momentum=0.02, update_buffers=True),
    # a MobileNetV2 step on a CPU takes half the time
    channels_last=dict(type="ChannelsLastHook"),
)
# instead of EMAHook where there are unlabeled images
teacher = dict(_delete_=True, type="MeanTeacherHook", momentum=0.02, evaluated="teacher")
# one GPU; counts the labeled images of a step
auto_scale_lr = dict(enable=False, base_batch_size=4)
