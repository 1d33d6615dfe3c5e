# CPS + CutMix, VOC animals, MobileNetV2, crop 224, 4 + 4 images a step.
_base_ = "../supervised/mobilenetv2_voc-animals.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.unlabeled))
model = dict(type="CPSSegmentor", unsup_weight=1.0, cutmix=dict(prob=1.0, boxes=3, area=(0.25, 0.5), aspect=None))
train_cfg = dict(_delete_=True, **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
