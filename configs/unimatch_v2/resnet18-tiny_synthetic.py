# UniMatch V2, synthetic data set, from scratch, 8 + 4 images.
# Because it starts from random weights: burn-in, ramp-up and teacher of the other synthetic configs, and the loss on
# unlabeled images counts as much as the labeled one's. The network is not the release's: its four levels have
# different widths, and each of them draws its own channels to drop.
# python tools/prepare/synthetic.py && python tools/train.py configs/unimatch_v2/resnet18-tiny_synthetic.py
_base_ = "../supervised/resnet18-tiny_synthetic.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.two_strong_unlabeled))
model = dict(type="UniMatchV2Segmentor", sup_weight=1.0, unsup_weight=1.0)
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(ema=_base_.teacher)
