# GuidedMix-Net with the options of the released code, synthetic data set, from scratch, 8 + 8 images.
# Unlike the release: burn-in and ramp-up of the unlabeled loss, because training starts from random weights, and the
# moving average is evaluated, as in the other configs of this data set.
_base_ = "../pseudo_label/resnet18-tiny_synthetic.py"
model = dict(type="GuidedMixSegmentor", unlabeled_view="weak", confidence=None, alignment=None, cutmix=None)
unlabeled_dataloader = dict(batch_size=8, dataset=dict(pipeline=_base_.pipelines.unlabeled))
train_cfg = dict(pseudo_labels_from="model")  # there is no teacher
