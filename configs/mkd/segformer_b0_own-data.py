# MKD on your own data. Step by step in docs/own_data.md.
# Inherits data, classes and schedule from the AllSpark config; name your copy of it below.
# python tools/train.py configs/mkd/segformer_b0_own-data.py
_base_ = "../allspark/segformer_b0_own-data.py"
model = dict(
    _delete_=True,
    type="MKDSegmentor",
    targets="plain",
    **{key: _base_.model[key] for key in ("data_preprocessor", "backbone", "decode_head", "train_cfg", "test_cfg")},
)
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
train_cfg = dict(pseudo_labels_from="ema")
default_hooks = dict(  # fast teachers, and the first student is evaluated, as in the release
    ema=dict(momentum=0.4, warmup=True, buffers="own", evaluated="student"),
)
del _base_.default_hooks["semantic_memory"]
