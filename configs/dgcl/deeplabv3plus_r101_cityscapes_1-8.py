# DGCL, Cityscapes 1/8, 372 labeled images, R101-DeepLabV3+ at stride 8, crop 769, 200 epochs.
# tools/dist_train.sh configs/dgcl/deeplabv3plus_r101_cityscapes_1-8.py 4
# the paper's figure is not listed
_base_ = [
    "../_base_/models/deeplabv3plus_r101_auxiliary.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/sgd_poly_cityscapes_240e.py",
    "../_base_/default_runtime.py",
]
# an import above _base_ would be another kind of config
from mmseg_allspark.datasets import semi_pipelines

max_epochs = 200
pipelines = semi_pipelines((769, 769), num_classes=19)
# 4 GPUs x (4 labeled + 4 unlabeled images), all without colour changes
train_dataloader = dict(
    batch_size=4, dataset=dict(ann_file="splits/cityscapes/1_8/labeled.txt", pipeline=pipelines.weak_labeled)
)
unlabeled_dataloader = dict(
    batch_size=4, dataset=dict(ann_file="splits/cityscapes/1_8/unlabeled.txt", pipeline=pipelines.unlabeled)
)
model = dict(
    type="DGCLSegmentor",
    contrast=dict(skip_classes=()),  # class 0 is road and no background
    contrast_weight=0.0625,  # the release's 0.5, divided by 8 GPUs as there
    backbone=dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
    decode_head=dict(
        dilations=(1, 12, 24, 36),
        dropout_ratio=0.1,
    ),
    test_cfg=dict(mode="slide", crop_size=(800, 800), stride=(533, 533)),
)
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(
    type="PseudoLabelLoop",
    max_epochs=max_epochs,
    pseudo_labels_from="ema",
    burn_in_iters=1620,  # the first 10 epochs learn from labeled images alone
)
default_hooks = dict(
    # in the epoch after that the teacher is still a copy of the student: mmengine counts epochs from 1
    ema=dict(type="MeanTeacherHook", momentum=0.001, begin_epoch=12, buffers="own", evaluated="teacher"),
)
# 4 GPUs x 4 labeled images
auto_scale_lr = dict(base_batch_size=16)
