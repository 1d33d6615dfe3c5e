# AEL, synthetic data set, from scratch, 8 + 4 images.
# Burn-in and ramp-up because it starts from random weights, and a faster bank because the training is short.
# python tools/prepare/synthetic.py && python tools/train.py configs/ael/resnet18-tiny_synthetic.py
_base_ = "../supervised/resnet18-tiny_synthetic.py"
model = dict(type="AELSegmentor", bank=dict(momentum=0.99), copy_paste=dict(exclude=(0,)))  # class 0 is the table
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
