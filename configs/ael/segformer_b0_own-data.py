# AEL on your own data. Step by step in docs/own_data.md.
# Inherits data, classes and schedule from the AllSpark config; name your copy of it below.
# python tools/train.py configs/ael/segformer_b0_own-data.py
_base_ = "../allspark/segformer_b0_own-data.py"
model = dict(
    _delete_=True,
    type="AELSegmentor",
    bank=dict(momentum=0.99),  # the release's 0.999 needs thousands of steps
    copy_paste=dict(classes=1, exclude=(0,)),  # classes that fill most images, such as a background, are not pasted
    **{key: _base_.model[key] for key in ("data_preprocessor", "backbone", "decode_head", "train_cfg", "test_cfg")},
)
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.unlabeled))
del _base_.default_hooks["semantic_memory"]
