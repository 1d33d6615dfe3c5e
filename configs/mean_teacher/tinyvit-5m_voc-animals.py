# Mean Teacher + CutMix with the paper's threshold, VOC animals, TinyViT, crop 224, 4 + 4 images a step.
_base_ = "../supervised/tinyvit-5m_voc-animals.py"
model = dict(type="MeanTeacherSegmentor")
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
