# PseudoSeg on your own data. Step by step in docs/own_data.md.
# Inherits data, classes and schedule from the AllSpark config.
# python tools/train.py configs/pseudoseg/segformer_b0_own-data.py
_base_ = "../allspark/segformer_b0_own-data.py"
model = dict(
    _delete_=True,
    type="PseudoSegSegmentor",
    cutout=dict(half=_base_.crop_size[0] // 10),  # a fifth of the crop's side, as in the release
    background=True,  # False if the first class is not a background
    **{key: _base_.model[key] for key in ("data_preprocessor", "backbone", "decode_head", "train_cfg", "test_cfg")},
)
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.strong_unlabeled))
head = _base_.optim_wrapper.paramwise_cfg.custom_keys.decode_head
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(attention=head, image_head=head)))
train_cfg = dict(pseudo_labels_from="model")  # the release has no teacher; the average is evaluated, as AllSpark's is
del _base_.default_hooks["semantic_memory"]
