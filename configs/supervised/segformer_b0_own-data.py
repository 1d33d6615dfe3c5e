# Supervised only on your own data, to compare with: step by step in docs/own_data.md.
# Inherits data, classes, schedule and the averaged evaluation from the AllSpark config.
# python tools/train.py configs/supervised/segformer_b0_own-data.py
_base_ = "../allspark/segformer_b0_own-data.py"
model = dict(
    _delete_=True,
    type="EncoderDecoder",
    **{key: _base_.model[key] for key in ("data_preprocessor", "backbone", "decode_head", "train_cfg", "test_cfg")},
)
train_cfg = dict(
    _delete_=True, type="SupervisedLoop", max_iters=_base_.max_iters, val_interval=_base_.train_cfg.val_interval
)
del _base_.default_hooks["semantic_memory"], _base_.default_hooks["pseudo_label_pictures"]
# evaluated as the AllSpark run is
default_hooks = dict(ema=dict(_delete_=True, type="EMAHook", momentum=0.02, update_buffers=True))
