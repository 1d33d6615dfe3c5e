# FPL on Mean Teacher + CutMix, VOC animals, MobileNetV2, crop 224, 4 + 4 images a step.
_base_ = "../mean_teacher/mobilenetv2_voc-animals.py"
model = dict(consistency="ce", confidence=None, pseudo_loss=dict(type="FuzzyPositiveLoss"))
