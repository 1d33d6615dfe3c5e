# CPS's schedule on Cityscapes: as on VOC, but more steps, and the weight decay of a script for 8 GPUs.
_base_ = "sgd_poly_cps_voc.py"
max_iters = 44_500
optim_wrapper = dict(optimizer=dict(weight_decay=8e-4))
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters)
