# CPS, synthetic data set, from scratch, 8 + 4 images.
# Burn-in and ramp-up because it starts from random weights. The moving average of the first network is evaluated.
# python tools/prepare/synthetic.py && python tools/train.py configs/cps/resnet18-tiny_synthetic.py
_base_ = "../supervised/resnet18-tiny_synthetic.py"
model = dict(type="CPSSegmentor")
train_cfg = dict(_delete_=True, **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
