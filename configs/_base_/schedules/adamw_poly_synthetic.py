# Minutes on a laptop: AdamW from scratch, warm-up and poly decay.
max_iters = 1400
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=0.003, weight_decay=0.01))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.03, by_epoch=False, begin=0, end=30),
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=30, end=max_iters, by_epoch=False),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=max_iters)
# for methods with unlabeled images, which begin when the model has learnt something: it starts from random weights
semi_train_cfg = dict(
    type="PseudoLabelLoop", max_iters=max_iters, val_interval=200, burn_in_iters=400, ramp_up_iters=200
)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
log_processor = dict(by_epoch=False)
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=20, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="AtomicCheckpointHook", by_epoch=False, interval=max_iters, save_last=True),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="SegVisualizationHook"),
    non_finite=dict(type="NonFiniteHook", policy="stop"),
    collapse=dict(type="CollapseMonitorHook"),
    # to look at: work_dirs/<config>/report.html, docs/watching_a_run.md
    pseudo_label_pictures=dict(type="PseudoLabelVisualizationHook", interval=200),
    validation_record=dict(type="ValidationRecordHook"),
    report=dict(type="ReportHook"),
)
# one GPU; counts the labeled images of a step
auto_scale_lr = dict(enable=False, base_batch_size=8)
