# ESL, Cityscapes 1/16, 186 labeled images, R101-DeepLabV3+, crop 769, 200 epochs.
# tools/dist_train.sh configs/esl/deeplabv3plus_r101_cityscapes_1-16.py 4
# paper mIoU 75.12 (ESL's paper)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
# an import above _base_ would be another kind of config
from mmseg_allspark.datasets import semi_pipelines

max_epochs = 200
pipelines = semi_pipelines((769, 769), num_classes=19)
# 4 GPUs x (2 labeled + 2 unlabeled images), all without colour changes
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=pipelines.weak_labeled))
unlabeled_dataloader = dict(batch_size=2, dataset=dict(pipeline=pipelines.unlabeled))
model = dict(
    type="ESLSegmentor",
    decode_head=dict(loss_decode=dict(_delete_=True, type="OhemLoss", thresh=0.7, min_kept=100_000)),
    test_cfg=dict(mode="slide", crop_size=(769, 769), stride=(513, 513)),
)
optim_wrapper = dict(
    optimizer=dict(lr=0.01, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys=dict(projector=dict(lr_mult=10.0))),
)
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(type="PseudoLabelLoop", max_epochs=max_epochs, pseudo_labels_from="ema")
default_hooks = dict(
    # the paper does not print the decay; warmup: min(1 - 1 / (i + 1), 0.996) at step i
    ema=dict(type="MeanTeacherHook", momentum=0.004, warmup=True, evaluated="teacher"),
)
