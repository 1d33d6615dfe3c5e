# CPS + CutMix, synthetic data set, from scratch, 8 + 4 images.
# python tools/prepare/synthetic.py && python tools/train.py configs/cps/resnet18-tiny_synthetic_cutmix.py
_base_ = "resnet18-tiny_synthetic.py"
model = dict(unsup_weight=1.0, cutmix=dict(prob=1.0, boxes=3, area=(0.25, 0.5), aspect=None))
