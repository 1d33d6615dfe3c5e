# An hour on a CPU core: AdamW, ten times faster outside the backbone, warm-up and poly decay; averages are evaluated.
max_iters = 2000
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=3e-4, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=10.0), decode_head=dict(lr_mult=10.0))),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=50, end=max_iters, by_epoch=False),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=max_iters // 8)
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
# channels last: a MobileNetV2 step on a CPU takes half the time
custom_hooks = [dict(type="EMAHook", momentum=0.02, update_buffers=True), dict(type="ChannelsLastHook")]
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=25, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="AtomicCheckpointHook", by_epoch=False, interval=max_iters // 8, max_keep_ckpts=1),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="SegVisualizationHook"),
    non_finite=dict(type="NonFiniteHook", policy="stop"),
    collapse=dict(type="CollapseMonitorHook"),
    pseudo_label_pictures=dict(type="PseudoLabelVisualizationHook", interval=max_iters // 8),
    validation_record=dict(type="ValidationRecordHook"),
    report=dict(type="ReportHook"),
)
# one GPU; counts the labeled images of a step
auto_scale_lr = dict(enable=False, base_batch_size=4)
