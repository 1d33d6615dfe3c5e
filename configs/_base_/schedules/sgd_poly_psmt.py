# PS-MT's schedule: SGD 0.01 everywhere, poly 0.9, no decay of norms and biases, 80 passes over the unlabeled images.
_base_ = "sgd_poly_voc_80e.py"
max_epochs = 80
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
# 4 GPUs x 8 labeled images
auto_scale_lr = dict(base_batch_size=32)
