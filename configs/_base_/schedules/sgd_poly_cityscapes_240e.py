# The release's Cityscapes schedule: as on VOC, but 240 passes over the unlabeled images and SGD 0.005 everywhere.
_base_ = "sgd_poly_voc_80e.py"
max_epochs = 240
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.005, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
