# PS-MT, synthetic data set, from scratch, 8 + 4 images.
# Burn-in and ramp-up because it starts from random weights.
# python tools/prepare/synthetic.py && python tools/train.py configs/psmt/resnet18-tiny_synthetic.py
_base_ = "../supervised/resnet18-tiny_synthetic.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
model = dict(type="PSMTSegmentor")
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(
    ema=dict(_base_.teacher, num_teachers=2, begin_iter=_base_.semi_train_cfg.burn_in_iters),
)
