# Pseudo-label baseline with the options of the quickstart, synthetic data set, from scratch, 8 + 4 images.
_base_ = "../supervised/resnet18-tiny_synthetic.py"
model = dict(
    type="SemiSegmentor",
    sup_weight=1.0,
    unsup_weight=1.0,
    unlabeled_view="strong",
    confidence=dict(type="ConfidenceThreshold", threshold=0.7, per="pixel"),
    alignment=dict(),
    cutmix=dict(prob=1.0),
    mask_padding=True,
)
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
