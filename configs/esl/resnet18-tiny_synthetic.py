# ESL, synthetic data set, from scratch, 8 + 4 images.
# Burn-in and ramp-up because it starts from random weights; a small projection and short queues because it is small.
# python tools/prepare/synthetic.py && python tools/train.py configs/esl/resnet18-tiny_synthetic.py
_base_ = "../supervised/resnet18-tiny_synthetic.py"
model = dict(
    type="ESLSegmentor",
    projection_channels=32,
    contrast=dict(channels=32, queue=64, max_anchors=32),
)
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
