# UniMatch V2's schedule: 60 passes over the unlabeled images, AdamW 5e-6, x40 outside the backbone, weight decay on all
# parameters, 4 GPUs x 4. The teacher follows the release's alpha = min(1 - 1 / (i + 1), 0.996).
_base_ = "sgd_poly_voc_80e.py"
max_epochs = 60
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="AdamW", lr=5e-6, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=40.0), decode_head=dict(lr_mult=40.0))),
)
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
default_hooks = dict(ema=dict(type="MeanTeacherHook", momentum=0.004, warmup=True, evaluated="teacher"))
auto_scale_lr = dict(base_batch_size=16)
