# FPL on Mean Teacher + CutMix on your own data. Step by step in docs/own_data.md.
# With 2 classes FPL is cross-entropy weighted by the confidence.
# Inherits data, classes and schedule from the AllSpark config.
# python tools/train.py configs/fpl/segformer_b0_own-data.py
_base_ = "../allspark/segformer_b0_own-data.py"
model = dict(
    _delete_=True,
    type="MeanTeacherSegmentor",
    consistency="ce",
    confidence=None,
    pseudo_loss=dict(type="FuzzyPositiveLoss"),
    **{key: _base_.model[key] for key in ("data_preprocessor", "backbone", "decode_head", "train_cfg", "test_cfg")},
)
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.unlabeled))
del _base_.default_hooks["semantic_memory"]
