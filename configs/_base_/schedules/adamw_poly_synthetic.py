# Minutes on a laptop: AdamW from scratch, warm-up and poly decay.
_base_ = "../default_hooks.py"
max_iters = 1400
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=0.003, weight_decay=0.01))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.03, by_epoch=False, begin=0, end=30),
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=30, end=max_iters, by_epoch=False),
]
train_cfg = dict(type="SupervisedLoop", max_iters=max_iters, val_interval=max_iters)
# for methods with unlabeled images, which begin when the model has learnt something: it starts from random weights
semi_train_cfg = dict(
    type="PseudoLabelLoop", max_iters=max_iters, val_interval=200, burn_in_iters=400, ramp_up_iters=200
)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
log_processor = dict(by_epoch=False)
default_hooks = dict(
    logger=dict(interval=20, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=max_iters, save_last=True),
    pseudo_label_pictures=dict(interval=200),
)
# instead of EMAHook where there are unlabeled images
teacher = dict(_delete_=True, type="MeanTeacherHook", momentum=0.01, evaluated="teacher")
# one GPU; counts the labeled images of a step
auto_scale_lr = dict(enable=False, base_batch_size=8)
