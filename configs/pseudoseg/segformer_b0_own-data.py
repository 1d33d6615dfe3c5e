# PseudoSeg on your own data. Step by step in docs/own_data.md.
# Inherits data, classes and schedule from the AllSpark config.
# python tools/train.py configs/pseudoseg/segformer_b0_own-data.py
_base_ = "../allspark/segformer_b0_own-data.py"
model = dict(
    _delete_=True,
    type="PseudoSegSegmentor",
    background=True,  # False if the first class is not a background
    **{key: _base_.model[key] for key in ("data_preprocessor", "backbone", "decode_head", "train_cfg", "test_cfg")},
)
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(attention=dict(lr_mult=10.0), image_head=dict(lr_mult=10.0))))
train_cfg = dict(pseudo_labels_from="model")  # the release has no teacher; the average is evaluated, as AllSpark's is
del _base_.default_hooks["semantic_memory"]
