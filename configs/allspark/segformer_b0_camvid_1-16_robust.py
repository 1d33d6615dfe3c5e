# AllSpark with what keeps self-training from collapsing (all off in the paper), CamVid 1/16, MiT-B0, crop 257.
# Evidence: docs/results_camvid.md.
_base_ = "segformer_b0_camvid_1-16.py"
model = dict(
    sup_weight=1.0,
    unsup_weight=0.5,
    unlabeled_view="strong",
    confidence=dict(type="ConfidenceThreshold", threshold=0.8, per="image"),
    alignment=dict(),
    cutmix=dict(),
)
unlabeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", optional=True),
    *_base_.weak_geometry,
    dict(type="MultiView", views=dict(weak=[], strong=_base_.colour)),
    dict(type="PackSemiInputs"),
]
train_dataloader = dict(batch_size=4)
auto_scale_lr = dict(base_batch_size=4)
unlabeled_dataloader = dict(dataset=dict(pipeline=unlabeled_pipeline))
train_cfg = dict(
    pseudo_labels_from="ema",
    burn_in_iters=300,
    ramp_up_iters=300,
)
custom_hooks = [
    dict(type="SemanticMemoryHook", warmup_iters=75),
    dict(type="PseudoLabelStatisticsHook"),
    dict(type="MeanTeacherHook", momentum=0.01, evaluated="teacher"),
]
