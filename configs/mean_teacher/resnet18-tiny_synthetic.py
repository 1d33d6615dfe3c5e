# Mean Teacher + CutMix, embedded data set, from scratch, 8 + 4 images.
# Burn-in and ramp-up because it starts from random weights.
# python tools/prepare/synthetic.py && python tools/train.py configs/mean_teacher/resnet18-tiny_synthetic.py
_base_ = "../supervised/resnet18-tiny_synthetic.py"
model = dict(type="MeanTeacherSegmentor")
train_cfg = dict(
    _delete_=True,
    type="PseudoLabelLoop",
    max_iters=_base_.max_iters,
    val_interval=200,
    pseudo_labels_from="ema",
    burn_in_iters=400,
    ramp_up_iters=200,
)
custom_hooks = [
    dict(type="PseudoLabelStatisticsHook"),
    dict(type="MeanTeacherHook", momentum=0.01, evaluated="teacher"),
]
