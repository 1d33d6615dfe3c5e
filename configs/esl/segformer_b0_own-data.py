# ESL on your own data. Step by step in docs/own_data.md.
# Inherits data, classes and schedule from the AllSpark config.
# python tools/train.py configs/esl/segformer_b0_own-data.py
_base_ = "../allspark/segformer_b0_own-data.py"
model = dict(
    _delete_=True,
    type="ESLSegmentor",
    contrast=dict(channels=128, queue=256),
    **{key: _base_.model[key] for key in ("data_preprocessor", "backbone", "decode_head", "train_cfg", "test_cfg")},
)
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.unlabeled))
del _base_.default_hooks["semantic_memory"]
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(projector=_base_.optim_wrapper.paramwise_cfg.custom_keys.decode_head))
)
