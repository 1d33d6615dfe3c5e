# AEL, Cityscapes 1/16, 186 labeled images, R101-DeepLabV3+, crop 769, 200 epochs.
# tools/dist_train.sh configs/ael/deeplabv3plus_r101_cityscapes_1-16.py 4
# paper mIoU 75.83 (AEL's paper, other draws)
_base_ = [
    "../_base_/models/deeplabv3plus_r101_auxiliary.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
# an import above _base_ would be another kind of config
from mmseg_allspark.datasets import semi_pipelines

max_epochs = 200
pipelines = semi_pipelines((769, 769), num_classes=19)
# 4 GPUs x (4 labeled + 4 unlabeled images), all without colour changes
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=pipelines.weak_labeled))
unlabeled_dataloader = dict(batch_size=4, dataset=dict(pipeline=pipelines.unlabeled))
model = dict(
    type="AELSegmentor",
    copy_paste=dict(classes=3, exclude=(0, 1, 2, 8, 10)),  # never road, sidewalk, building, vegetation and sky
    cutmix=dict(area=0.005, bank_area=0.01),
    test_cfg=dict(mode="slide", crop_size=(769, 769), stride=(513, 513)),
)
# The release divides each loss by its 8 GPUs before the backward pass and averages the gradients after it. With plain
# averages its rate is 0.00125 and its weight decay 8e-4, where its configs say 0.01 and 1e-4.
optim_wrapper = dict(
    optimizer=dict(lr=0.00125, weight_decay=8e-4),
    paramwise_cfg=dict(custom_keys=dict(auxiliary_head=dict(lr_mult=10.0))),
)
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(type="PseudoLabelLoop", max_epochs=max_epochs, pseudo_labels_from="ema")
default_hooks = dict(
    # min(1 - 1 / (i + 1), 0.99) at step i; the teacher's batch norm follows its own passes, as in the release
    ema=dict(type="MeanTeacherHook", momentum=0.01, warmup=True, buffers="own", evaluated="teacher"),
)
# 4 GPUs x 4 labeled images
auto_scale_lr = dict(base_batch_size=16)
