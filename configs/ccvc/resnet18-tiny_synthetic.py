# CCVC, synthetic data set, from scratch, 8 + 4 images.
# Burn-in and ramp-up because it starts from random weights; each network's losses count as much as those of the other
# methods. The moving average of the first network is evaluated.
# python tools/prepare/synthetic.py && python tools/train.py configs/ccvc/resnet18-tiny_synthetic.py
_base_ = "../supervised/resnet18-tiny_synthetic.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
model = dict(type="CCVCSegmentor", sup_weight=2.0, unsup_weight=2.0)
train_cfg = dict(_delete_=True, **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
