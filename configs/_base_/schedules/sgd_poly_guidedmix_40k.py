# GuidedMix-Net's long schedule: as the short one, over 40 000 iterations.
_base_ = "sgd_poly_guidedmix_20k.py"
max_iters = 40_000
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=1e-4, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters)
