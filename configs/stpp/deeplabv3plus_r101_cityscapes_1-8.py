# ST++, Cityscapes, 372 labeled images, R101-DeepLabV3+ at stride 8, crop 721, three times 240 epochs.
# python tools/self_training.py configs/stpp/deeplabv3plus_r101_cityscapes_1-8.py --gpus 4
# the paper's figure is not listed
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
from mmseg_allspark.datasets import semi_pipelines

crop_size = (721, 721)  # (h, w)
max_epochs = 240
pipelines = semi_pipelines(crop_size, num_classes=19)
# 4 GPUs x (2 + 2) images; the first training: 4 GPUs x 4 labeled images
train_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_8/labeled.txt", pipeline=pipelines.weak_labeled))
unlabeled_dataloader = dict(
    dataset=dict(ann_file="splits/cityscapes/1_8/unlabeled.txt", pipeline=pipelines.pseudo_labeled)
)
model = dict(
    type="SelfTrainingSegmentor",
    backbone=dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
    decode_head=dict(dilations=(1, 12, 24, 36)),
)
optim_wrapper = dict(optimizer=dict(lr=0.004))
param_scheduler = [dict(_base_.param_scheduler[0], end=max_epochs)]
train_cfg = dict(type="PseudoLabelLoop", max_epochs=max_epochs, pseudo_labels_from="data")
self_training = dict(
    supervised=dict(
        train_cfg=dict(_delete_=True, type="SupervisedLoop", max_epochs=max_epochs),
        train_dataloader=dict(batch_size=4, drop_last=True, sampler=dict(type="DefaultSampler")),
        auto_scale_lr=dict(base_batch_size=16),
    )
)
