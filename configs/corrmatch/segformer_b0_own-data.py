# CorrMatch on your own data. Step by step in docs/own_data.md.
# Inherits data, classes and schedule from the AllSpark config.
# python tools/train.py configs/corrmatch/segformer_b0_own-data.py
_base_ = "../allspark/segformer_b0_own-data.py"
model = dict(
    _delete_=True,
    type="CorrMatchSegmentor",
    sup_weight=1.0,  # both twice the release's: as much learning from labels as the other methods
    unsup_weight=1.0,
    corr_index=2,  # stride 16; the last level has stride 32, too coarse for segments
    **{key: _base_.model[key] for key in ("data_preprocessor", "backbone", "decode_head", "train_cfg", "test_cfg")},
)
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(correlation=_base_.optim_wrapper.paramwise_cfg.custom_keys.decode_head))
)
train_cfg = dict(pseudo_labels_from="model")  # the release has no teacher; the average is evaluated, as AllSpark's is
del _base_.default_hooks["semantic_memory"]
