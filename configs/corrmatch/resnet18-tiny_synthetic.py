# CorrMatch, synthetic data set, from scratch, 8 + 4 images.
# Because it starts from random weights: burn-in and ramp-up as the other synthetic configs, and both losses count twice
# as much as in the release. The moving average is evaluated, as there; the labels come from the model itself.
# python tools/prepare/synthetic.py && python tools/train.py configs/corrmatch/resnet18-tiny_synthetic.py
_base_ = "../supervised/resnet18-tiny_synthetic.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
model = dict(
    type="CorrMatchSegmentor",
    sup_weight=1.0,
    unsup_weight=1.0,
    correlation=dict(channels=64),
    segments=16,  # of 16 positions at the deepest level
)
train_cfg = dict(_delete_=True, **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
