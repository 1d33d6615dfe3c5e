# Hooks of every run, by name: a child config adds or changes one in one line, and removes one by
#   del _base_.default_hooks["report"]
# Those about pseudo labels do nothing in supervised runs.
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook"),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="AtomicCheckpointHook"),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="SegVisualizationHook"),
    non_finite=dict(type="NonFiniteHook", policy="stop"),
    collapse=dict(type="CollapseMonitorHook"),
    # to look at: work_dirs/<config>/report.html, docs/watching_a_run.md
    pseudo_label_pictures=dict(type="PseudoLabelVisualizationHook"),
    validation_record=dict(type="ValidationRecordHook"),
    pseudo_label_statistics=dict(type="PseudoLabelStatisticsHook"),
    report=dict(type="ReportHook"),
)
