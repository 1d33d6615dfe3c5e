# PseudoSeg, VOC animals, MobileNetV2, crop 224, 4 + 4 images a step. The moving average is evaluated.
_base_ = "../supervised/mobilenetv2_voc-animals.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
# the square that is cut out has a fifth of the crop's side, as in the release
model = dict(type="PseudoSegSegmentor", attention=dict(dim=64), cutout=dict(half=22))
train_cfg = dict(_delete_=True, **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(attention=dict(lr_mult=10.0), image_head=dict(lr_mult=10.0))))
