# FPL on Mean Teacher + CutMix, synthetic data set, from scratch, 8 + 4 images: one network, labeled by its average.
# python tools/prepare/synthetic.py && python tools/train.py configs/fpl/resnet18-tiny_synthetic_mean-teacher.py
_base_ = "../mean_teacher/resnet18-tiny_synthetic.py"
model = dict(consistency="ce", confidence=None, pseudo_loss=dict(type="FuzzyPositiveLoss"))
