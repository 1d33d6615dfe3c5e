# MKD, synthetic data set, from scratch, 8 + 4 images.
# Burn-in and ramp-up because it starts from random weights; labels are those of the logits without augmentation. The
# teachers are fast and the first student is evaluated, as in the release.
# python tools/prepare/synthetic.py && python tools/train.py configs/mkd/resnet18-tiny_synthetic.py
_base_ = "../supervised/resnet18-tiny_synthetic.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
model = dict(type="MKDSegmentor", targets="plain")
train_cfg = dict(_delete_=True, **_base_.semi_train_cfg, pseudo_labels_from="ema")
default_hooks = dict(
    ema=dict(_delete_=True, type="MeanTeacherHook", momentum=0.4, warmup=True, buffers="own", evaluated="student"),
)
