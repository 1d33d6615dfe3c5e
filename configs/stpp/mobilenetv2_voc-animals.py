# ST++, VOC animals, MobileNetV2, crop 224, three trainings. The averaged model is evaluated and labels.
# python tools/self_training.py configs/stpp/mobilenetv2_voc-animals.py
_base_ = "../supervised/mobilenetv2_voc-animals.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.pseudo_labeled))
model = dict(type="SelfTrainingSegmentor")
train_cfg = dict(type="PseudoLabelLoop", pseudo_labels_from="data")
self_training = dict(supervised=dict(train_cfg=dict(_delete_=True, **_base_.train_cfg)))
