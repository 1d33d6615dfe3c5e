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
train_dataloader = dict(batch_size=4)
auto_scale_lr = dict(base_batch_size=4)
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
train_cfg = dict(
    pseudo_labels_from="ema",
    burn_in_iters=300,
    ramp_up_iters=300,
)
default_hooks = dict(ema=dict(type="MeanTeacherHook", momentum=0.01, evaluated="teacher"))
