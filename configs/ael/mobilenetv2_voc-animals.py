# AEL, VOC animals, MobileNetV2, crop 224, 4 + 4 images a step.
_base_ = "../supervised/mobilenetv2_voc-animals.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.unlabeled))
# the release's options for VOC, with a faster bank because the training is short; class 0 is the background
model = dict(
    type="AELSegmentor",
    confidence=dict(type="ConfidenceThreshold", threshold=0.7),
    bank=dict(momentum=0.99),
    copy_paste=dict(classes=1, exclude=(0,)),
    cutmix=dict(area=0.03, bank_area=0.03),
)
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
