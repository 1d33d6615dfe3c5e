# CorrMatch, VOC animals, MobileNetV2, crop 224, 4 + 4 images a step.
_base_ = "../supervised/mobilenetv2_voc-animals.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
model = dict(type="CorrMatchSegmentor", corr_index=2)  # stride 16; the last level is too coarse for segments
train_cfg = dict(_delete_=True, **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(correlation=dict(lr_mult=10.0))))
