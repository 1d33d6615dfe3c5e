# CCVC, PASCAL VOC 2012 original, 183 labeled images, R101-DeepLabV3+, crop 512, 40 epochs.
# tools/dist_train.sh configs/ccvc/deeplabv3plus_r101_voc_1-8.py 4
# the paper's figure is not listed
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/voc2012_crop-512.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
max_epochs = 40
train_dataloader = dict(batch_size=4, dataset=dict(ann_file="splits/voc/183/labeled.txt"))
unlabeled_dataloader = dict(
    batch_size=4,
    dataset=dict(ann_file="splits/voc/183/unlabeled.txt", pipeline=_base_.pipelines.strong_unlabeled),
)
model = dict(type="CCVCSegmentor", separate_norm=True, decode_head=dict(num_classes=21))
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(type="PseudoLabelLoop", max_epochs=max_epochs)
# 4 GPUs x 4 labeled images
auto_scale_lr = dict(base_batch_size=16)
