# MKD with labels of the logits without augmentation, VOC animals, MobileNetV2, crop 224, 4 + 4 images a step.
# The teachers are fast and the first student is evaluated, as in the release.
_base_ = "../supervised/mobilenetv2_voc-animals.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
model = dict(type="MKDSegmentor", targets="plain")
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(
    ema=dict(_delete_=True, type="MeanTeacherHook", momentum=0.4, warmup=True, buffers="own", evaluated="student"),
)
