# Pseudo-label baseline with the options of the quickstart, embedded data set, from scratch, 4 + 4 images.
_base_ = "../supervised/resnet18-tiny_synthetic.py"
model = dict(
    type="SemiSegmentor",
    sup_weight=1.0,
    unsup_weight=1.0,
    unlabeled_view="strong",
    confidence=dict(type="ConfidenceThreshold", threshold=0.9, per="pixel"),
    cutmix=dict(prob=0.7),
)
train_dataloader = dict(batch_size=4)
_base_.unlabeled_dataloader.dataset.pipeline = _base_.strong_unlabeled_pipeline
train_cfg = dict(
    _delete_=True,
    type="PseudoLabelLoop",
    unlabeled_dataloader=_base_.unlabeled_dataloader,
    max_iters=_base_.max_iters,
    val_interval=_base_.max_iters,
    pseudo_labels_from="ema",
    burn_in_iters=100,
    ramp_up_iters=100,
)
custom_hooks = [
    dict(type="PseudoLabelStatisticsHook"),
    dict(type="EMAHook", momentum=0.01, update_buffers=True),
]
