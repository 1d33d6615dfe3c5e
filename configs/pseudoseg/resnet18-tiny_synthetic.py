# PseudoSeg, synthetic data set, from scratch, 8 + 4 images.
# Because it starts from random weights: burn-in and ramp-up as the other synthetic configs. The square that is cut out
# is a fifth of the crop, as in the release. The moving average is evaluated; the labels come from the model itself.
# python tools/prepare/synthetic.py && python tools/train.py configs/pseudoseg/resnet18-tiny_synthetic.py
_base_ = "../supervised/resnet18-tiny_synthetic.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
model = dict(type="PseudoSegSegmentor", attention=dict(dim=32), cutout=dict(half=6))
train_cfg = dict(_delete_=True, **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
