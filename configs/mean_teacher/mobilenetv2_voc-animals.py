# Mean Teacher + CutMix with the paper's threshold, VOC animals, MobileNetV2, crop 224, 4 + 4 images a step.
_base_ = "../supervised/mobilenetv2_voc-animals.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.unlabeled))
model = dict(type="MeanTeacherSegmentor")
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
