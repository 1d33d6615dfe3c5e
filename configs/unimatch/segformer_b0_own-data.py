# UniMatch on your own data. Step by step in docs/own_data.md.
# Inherits data, classes and schedule from the AllSpark config; name your copy of it below.
# python tools/train.py configs/unimatch/segformer_b0_own-data.py
_base_ = "../allspark/segformer_b0_own-data.py"
model = dict(
    _delete_=True,
    type="UniMatchSegmentor",
    sup_weight=1.0,  # both twice the release's: as much learning from labels as the other methods
    unsup_weight=1.0,
    **{key: _base_.model[key] for key in ("data_preprocessor", "backbone", "decode_head", "train_cfg", "test_cfg")},
)
two_views = dict(type="MultiView", views=dict(weak=[], strong1=_base_.colour, strong2=_base_.colour))
unlabeled_pipeline = [
    two_views if step["type"] == "MultiView" else step for step in _base_.unlabeled_dataloader.dataset.pipeline
]
unlabeled_dataloader = dict(dataset=dict(pipeline=unlabeled_pipeline))
train_cfg = dict(pseudo_labels_from="model")  # the release has no teacher; the average is evaluated, as AllSpark's is
custom_hooks = [hook for hook in _base_.custom_hooks if hook["type"] != "SemanticMemoryHook"]
