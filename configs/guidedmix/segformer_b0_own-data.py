# GuidedMix-Net with the model options of the released code, on your own data. Step by step in docs/own_data.md.
# Burn-in, ramp-up, the evaluated average and the colour changes of labeled images are ours.
# Inherits data, classes and schedule from the AllSpark config.
# python tools/train.py configs/guidedmix/segformer_b0_own-data.py
_base_ = "../allspark/segformer_b0_own-data.py"
model = dict(
    _delete_=True,
    type="GuidedMixSegmentor",
    **{key: _base_.model[key] for key in ("data_preprocessor", "backbone", "decode_head", "train_cfg", "test_cfg")},
)
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.unlabeled))
train_cfg = dict(pseudo_labels_from="model")  # there is no teacher
del _base_.default_hooks["semantic_memory"]
