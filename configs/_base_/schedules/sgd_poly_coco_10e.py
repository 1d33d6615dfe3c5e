# The release's COCO schedule: as on VOC, but 10 passes over the unlabeled images.
_base_ = "sgd_poly_voc_80e.py"
max_epochs = 10
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
# 4 GPUs x 4 labeled images
auto_scale_lr = dict(base_batch_size=16)
