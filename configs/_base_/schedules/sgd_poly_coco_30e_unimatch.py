# UniMatch's COCO schedule: 30 passes over the unlabeled images, SGD 0.004, x10 outside the backbone, 4 GPUs x 2.
_base_ = "sgd_poly_voc_80e.py"
max_epochs = 30
optim_wrapper = dict(optimizer=dict(lr=0.004))
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
