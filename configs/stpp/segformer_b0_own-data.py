# ST++ on your own data. Step by step in docs/own_data.md.
# Inherits data, classes and schedule from the AllSpark config.
# python tools/self_training.py configs/stpp/segformer_b0_own-data.py
_base_ = "../allspark/segformer_b0_own-data.py"
model = dict(
    _delete_=True,
    type="SelfTrainingSegmentor",
    **{key: _base_.model[key] for key in ("data_preprocessor", "backbone", "decode_head", "train_cfg", "test_cfg")},
)
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.pseudo_labeled))
train_cfg = dict(
    _delete_=True,
    type="PseudoLabelLoop",
    max_iters=_base_.max_iters,
    val_interval=_base_.interval,
    pseudo_labels_from="data",
)
self_training = dict(
    supervised=dict(
        train_cfg=dict(_delete_=True, type="SupervisedLoop", max_iters=_base_.max_iters, val_interval=_base_.interval)
    )
)
del _base_.default_hooks["semantic_memory"]
# the averaged model is evaluated and labels, as in the AllSpark run
default_hooks = dict(ema=dict(_delete_=True, type="EMAHook", momentum=0.02, update_buffers=True))
