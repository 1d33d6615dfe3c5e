# AllSpark without options on a small transformer, VOC animals, crop 224, 4 + 4 images a step: no threshold, no CutMix,
# labels of the model itself. The moving average is evaluated, as in the other configs of this data set.
_base_ = "tinyvit-5m_voc-animals.py"
model = dict(sup_weight=0.5, unsup_weight=0.5, unlabeled_view="weak", confidence=None, cutmix=None)
train_cfg = dict(pseudo_labels_from="model")
