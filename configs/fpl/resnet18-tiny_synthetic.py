# FPL on CPS + CutMix, synthetic data set, from scratch, 8 + 4 images.
# python tools/prepare/synthetic.py && python tools/train.py configs/fpl/resnet18-tiny_synthetic.py
_base_ = "../cps/resnet18-tiny_synthetic_cutmix.py"
model = dict(pseudo_loss=dict(type="FuzzyPositiveLoss"))
