# CPS + CutMix on your own data. Step by step in docs/own_data.md.
# Inherits data, classes and schedule from the AllSpark config.
# python tools/train.py configs/cps/segformer_b0_own-data.py
_base_ = "../allspark/segformer_b0_own-data.py"
model = dict(
    _delete_=True,
    type="CPSSegmentor",
    unsup_weight=1.0,
    cutmix=dict(prob=1.0, boxes=3, area=(0.25, 0.5), aspect=None),
    **{key: _base_.model[key] for key in ("data_preprocessor", "backbone", "decode_head", "train_cfg", "test_cfg")},
)
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.unlabeled))
train_cfg = dict(pseudo_labels_from="model")  # each network learns from the other; the average is evaluated
del _base_.default_hooks["semantic_memory"]
