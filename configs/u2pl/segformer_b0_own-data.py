# U2PL on your own data. Step by step in docs/own_data.md.
# Inherits data, classes and schedule from the AllSpark config; name your copy of it below.
# python tools/train.py configs/u2pl/segformer_b0_own-data.py
_base_ = "../allspark/segformer_b0_own-data.py"
model = dict(
    _delete_=True,
    type="U2PLSegmentor",
    # low_rank: an unsure pixel is a negative of all classes but its likeliest ones; U2PL's 3 needs 4 classes or more
    contrast=dict(channels=128, rows=4096, low_rank=min(3, _base_.num_classes - 1)),
    **{key: _base_.model[key] for key in ("data_preprocessor", "backbone", "decode_head", "train_cfg", "test_cfg")},
)
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.unlabeled))
del _base_.default_hooks["semantic_memory"]
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(projector=_base_.optim_wrapper.paramwise_cfg.custom_keys.decode_head))
)
