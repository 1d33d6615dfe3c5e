# UniMatch V2, VOC animals, TinyViT, crop 224, 4 + 4 images a step.
_base_ = "../supervised/tinyvit-5m_voc-animals.py"
model = dict(type="UniMatchV2Segmentor")
train_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.weak_labeled))
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.two_strong_unlabeled))
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
