# DGCL, PASCAL VOC 2012 original, 732 labeled images, R101-DeepLabV3+, crop 513, 80 epochs.
# tools/dist_train.sh configs/dgcl/deeplabv3plus_r101_voc_1-2.py 4
# the paper's figure is not listed
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/voc2012.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
# 4 GPUs x (4 labeled + 4 unlabeled images), all without colour changes
train_dataloader = dict(
    batch_size=4, dataset=dict(ann_file="splits/voc/732/labeled.txt", pipeline=_base_.pipelines.weak_labeled)
)
unlabeled_dataloader = dict(batch_size=4, dataset=dict(ann_file="splits/voc/732/unlabeled.txt"))
model = dict(
    type="DGCLSegmentor",
    contrast_weight=0.125,  # the release's 0.5, divided by 4 GPUs as there
    decode_head=dict(num_classes=21, dropout_ratio=0.1),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(projector=dict(lr_mult=10.0))))
train_cfg = dict(
    type="PseudoLabelLoop",
    max_epochs=_base_.max_epochs,
    pseudo_labels_from="ema",
    burn_in_iters=615,  # the first epoch learns from labeled images alone
)
default_hooks = dict(
    # in the epoch after that the teacher is still a copy of the student: mmengine counts epochs from 1
    ema=dict(type="MeanTeacherHook", momentum=0.001, begin_epoch=3, buffers="own", evaluated="teacher"),
)
# 4 GPUs x 4 labeled images
auto_scale_lr = dict(base_batch_size=16)
