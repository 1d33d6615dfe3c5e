# PS-MT, PASCAL VOC 2012 augmented, 1323 labeled images, R101-DeepLabV3+, crop 512, 80 epochs.
# tools/dist_train.sh configs/psmt/deeplabv3plus_r101_voc-aug_1-8.py 4
# paper mIoU 78.2 (PS-MT's README)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/voc2012_crop-512.py",
    "../_base_/schedules/sgd_poly_psmt.py",
    "../_base_/default_runtime.py",
]
# 4 GPUs x (8 labeled + 8 unlabeled images), the labeled ones with colour changes, too
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=_base_.pipelines.labeled))
unlabeled_dataloader = dict(batch_size=8, dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
model = dict(type="PSMTSegmentor", unsup_weight=1.5, decode_head=dict(num_classes=21))
# 5 passes over the labeled images, then 12 epochs
warm_up = 207
train_cfg = dict(
    type="PseudoLabelLoop",
    max_epochs=_base_.max_epochs,
    burn_in_iters=warm_up,
    ramp_up_iters=12 * 289,
    ramp_up_shape="cosine",
    pseudo_labels_from="ema",
)
default_hooks = dict(
    # in the first steps both teachers are copies of the student
    ema=dict(type="MeanTeacherHook", momentum=0.004, num_teachers=2, begin_iter=warm_up, evaluated="teacher"),
)
