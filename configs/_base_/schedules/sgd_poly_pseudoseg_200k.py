# PseudoSeg's schedule on COCO: as on VOC, over 200 000 steps.
_base_ = "sgd_poly_pseudoseg_30k.py"
max_iters = 200_000
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=10_000)
default_hooks = dict(checkpoint=dict(interval=10_000), pseudo_label_pictures=dict(interval=10_000))
