# PseudoSeg's schedule on VOC: 30 000 steps, poly 0.9, one rate everywhere, no decay of norms and biases. The release
# trains with 64 + 64 images at 0.007; the rate here is that for 4 GPUs with 4 + 4 images.
_base_ = "sgd_poly_guidedmix_20k.py"
max_iters = 30_000
optim_wrapper = dict(
    optimizer=dict(lr=0.00175, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters)
