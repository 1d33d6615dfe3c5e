# PS-MT, VOC animals, MobileNetV2, crop 224, 4 + 4 images a step.
_base_ = "../supervised/mobilenetv2_voc-animals.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
model = dict(type="PSMTSegmentor", unsup_weight=0.06)  # the release's for this split of VOC
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(
    ema=dict(_base_.teacher, num_teachers=2, begin_iter=_base_.semi_train_cfg.burn_in_iters),
)
