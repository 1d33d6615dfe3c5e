# Pseudo-label baseline on your own data: AllSpark's config without its neck. Step by step in docs/own_data.md.
# Inherits data, classes, schedule and options from the AllSpark config.
# python tools/train.py configs/pseudo_label/segformer_b0_own-data.py
_base_ = "../allspark/segformer_b0_own-data.py"
model = dict(neck=None)
del _base_.default_hooks["semantic_memory"]
