# GuidedMix-Net with the options of the released code, VOC animals, MobileNetV2, crop 224, 4 + 4 images a step.
_base_ = "../mean_teacher/mobilenetv2_voc-animals.py"
model = dict(type="GuidedMixSegmentor")
train_cfg = dict(pseudo_labels_from="model")
