# UniMatch, synthetic data set, from scratch, 8 + 4 images.
# Because it starts from random weights: burn-in and ramp-up as the other synthetic configs, and the loss on
# unlabeled images counts as much as the labeled one's. The moving average is evaluated, as there; the labels come from
# the model itself.
# python tools/prepare/synthetic.py && python tools/train.py configs/unimatch/resnet18-tiny_synthetic.py
_base_ = "../supervised/resnet18-tiny_synthetic.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.two_strong_unlabeled))
model = dict(type="UniMatchSegmentor", sup_weight=1.0, unsup_weight=1.0)
train_cfg = dict(_delete_=True, **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
