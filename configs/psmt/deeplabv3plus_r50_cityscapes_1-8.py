# PS-MT, Cityscapes 1/8, 372 labeled images, R50-DeepLabV3+, crop 800, 320 epochs.
# tools/dist_train.sh configs/psmt/deeplabv3plus_r50_cityscapes_1-8.py 4
# paper mIoU 77.12 (PS-MT's README)
_base_ = [
    "../_base_/models/deeplabv3plus_r50.py",
    "../_base_/datasets/cityscapes_crop-800.py",
    "../_base_/schedules/sgd_poly_psmt.py",
    "../_base_/default_runtime.py",
]
# 4 GPUs x (2 labeled + 2 unlabeled images), the labeled ones with colour changes, too
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=_base_.pipelines.labeled))
unlabeled_dataloader = dict(batch_size=2, dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
model = dict(
    type="PSMTSegmentor",
    unsup_weight=3.0,
    cutmix=dict(prob=1.0, boxes=3, area=(0.25, 0.5), aspect=None),
    test_cfg=dict(mode="slide", crop_size=(800, 800), stride=(534, 534)),
)
optim_wrapper = dict(optimizer=dict(lr=0.0045))
max_epochs = 320
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
# 5 passes over the labeled images, then 12 epochs
warm_up = 232
train_cfg = dict(
    type="PseudoLabelLoop",
    max_epochs=max_epochs,
    val_interval=10,
    burn_in_iters=warm_up,
    ramp_up_iters=12 * 325,
    ramp_up_shape="cosine",
    pseudo_labels_from="ema",
)
default_hooks = dict(
    checkpoint=dict(interval=10),
    # in the first steps both teachers are copies of the student
    ema=dict(type="MeanTeacherHook", momentum=0.004, num_teachers=2, begin_iter=warm_up, evaluated="teacher"),
)
# 4 GPUs x 2 labeled images
auto_scale_lr = dict(base_batch_size=8)
