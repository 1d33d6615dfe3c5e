# AEL, PASCAL VOC 2012 augmented, 1323 labeled images, R101-DeepLabV3+, crop 513, 80 epochs.
# tools/dist_train.sh configs/ael/deeplabv3plus_r101_voc-aug_1-8.py 4
# paper mIoU 77.57 (AEL's paper, other draws)
_base_ = [
    "../_base_/models/deeplabv3plus_r101_auxiliary.py",
    "../_base_/datasets/voc2012.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
# 4 GPUs x (4 labeled + 4 unlabeled images), all without colour changes
train_dataloader = dict(
    batch_size=4, dataset=dict(ann_file="splits/voc/1_8/labeled.txt", pipeline=_base_.pipelines.weak_labeled)
)
unlabeled_dataloader = dict(batch_size=4, dataset=dict(ann_file="splits/voc/1_8/unlabeled.txt"))
model = dict(
    type="AELSegmentor",
    decode_head=dict(num_classes=21),
    auxiliary_head=dict(num_classes=21),
    confidence=dict(type="ConfidenceThreshold", threshold=0.7),
    copy_paste=dict(classes=1, exclude=(0,)),  # never the background
    cutmix=dict(area=0.03, bank_area=0.03),
)
# The release divides each loss by its 8 GPUs before the backward pass and averages the gradients after it. With plain
# averages its rate is 0.00125 and its weight decay 8e-4, where its configs say 0.01 and 1e-4.
optim_wrapper = dict(
    optimizer=dict(lr=0.00125, weight_decay=8e-4),
    paramwise_cfg=dict(custom_keys=dict(auxiliary_head=dict(lr_mult=10.0))),
)
train_cfg = dict(type="PseudoLabelLoop", max_epochs=_base_.max_epochs, pseudo_labels_from="ema")
default_hooks = dict(
    # min(1 - 1 / (i + 1), 0.99) at step i; the teacher's batch norm follows its own passes, as in the release
    ema=dict(type="MeanTeacherHook", momentum=0.01, warmup=True, buffers="own", evaluated="teacher"),
)
# 4 GPUs x 4 labeled images
auto_scale_lr = dict(base_batch_size=16)
