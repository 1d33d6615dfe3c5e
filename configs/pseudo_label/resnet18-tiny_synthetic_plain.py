# Pseudo-label baseline without the quickstart's options (AllSpark without its neck), synthetic data set, 8 + 4 images.
# Burn-in and ramp-up because it starts from random weights; the moving average is evaluated, as in the other configs of
# this data set.
_base_ = "../supervised/resnet18-tiny_synthetic.py"
model = dict(type="SemiSegmentor")
train_cfg = dict(_delete_=True, **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
