# UniMatch with the release's threshold and weights, VOC animals, MobileNetV2, crop 224, 4 + 4 images a step.
_base_ = "../supervised/mobilenetv2_voc-animals.py"
model = dict(type="UniMatchSegmentor")
train_dataloader = dict(dataset=dict(pipeline=_base_.weak_labeled_pipeline))
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.two_strong_unlabeled_pipeline))
train_cfg = dict(_delete_=True, **_base_.semi_train_cfg)
custom_hooks = [
    dict(type="PseudoLabelStatisticsHook"),
    dict(type="MeanTeacherHook", momentum=0.02, evaluated="teacher"),
    dict(type="ChannelsLastHook"),
]
