# ESL, PASCAL VOC 2012 original, 183 labeled images, R101-DeepLabV3+, crop 513, 80 epochs.
# tools/dist_train.sh configs/esl/deeplabv3plus_r101_voc_1-8.py 4
# paper mIoU 74.06 (ESL's paper)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/voc2012.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
# 4 GPUs x (2 labeled + 2 unlabeled images), all without colour changes
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=_base_.pipelines.weak_labeled))
unlabeled_dataloader = dict(batch_size=2)
model = dict(type="ESLSegmentor", decode_head=dict(num_classes=21))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(projector=dict(lr_mult=10.0))))
train_cfg = dict(type="PseudoLabelLoop", max_epochs=_base_.max_epochs, pseudo_labels_from="ema")
default_hooks = dict(
    # the paper does not print the decay; warmup: min(1 - 1 / (i + 1), 0.996) at step i
    ema=dict(type="MeanTeacherHook", momentum=0.004, warmup=True, evaluated="teacher"),
)
