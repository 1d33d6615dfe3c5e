# DGCL on your own data. Step by step in docs/own_data.md.
# Inherits data, classes and schedule from the AllSpark config; name your copy of it below.
# python tools/train.py configs/dgcl/segformer_b0_own-data.py
_base_ = "../allspark/segformer_b0_own-data.py"
model = dict(
    _delete_=True,
    type="DGCLSegmentor",
    # without the release's background, and each class starts when its own memory is full
    contrast=dict(rows=4000, max_pixels=4000, skip_classes=(), start_when="class_full"),
    **{key: _base_.model[key] for key in ("data_preprocessor", "backbone", "decode_head", "train_cfg", "test_cfg")},
)
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.unlabeled))
del _base_.default_hooks["semantic_memory"]
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(projector=_base_.optim_wrapper.paramwise_cfg.custom_keys.decode_head))
)
