# Pseudo-label baseline with options, LabelMeFacade, crop 224, 4 + 4 images a step.
_base_ = "../supervised/mobilenetv2_facade.py"
model = dict(
    type="SemiSegmentor",
    sup_weight=1.0,
    unsup_weight=1.0,
    unlabeled_view="strong",
    confidence=dict(type="ClassQuantileThreshold", keep=0.6),
    cutmix=dict(),
    mask_padding=True,
)
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
