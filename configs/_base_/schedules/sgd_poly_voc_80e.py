# The release's VOC schedule: 80 passes over the unlabeled images, SGD 0.001, x10 outside the backbone,
# poly 0.9 per iteration.
_base_ = "../default_hooks.py"
max_epochs = 80
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.001, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=10.0), decode_head=dict(lr_mult=10.0))),
)
param_scheduler = [
    dict(
        type="PolyLR",
        power=0.9,
        eta_min=0.0,
        begin=0,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    )
]
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
log_processor = dict(by_epoch=True)
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(interval=1, max_keep_ckpts=2, save_best="mIoU", rule="greater"),
    pseudo_label_pictures=dict(interval=5000),
)
# 4 GPUs x 2 labeled images; tools/train.py --cfg-options auto_scale_lr.enable=True scales the rate to another number
auto_scale_lr = dict(enable=False, base_batch_size=8)
