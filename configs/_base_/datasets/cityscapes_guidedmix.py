# Cityscapes as GuidedMix-Net's release reads it: base size (2049, 1025), crop 769.
# Colours are changed in both kinds of images.
# Lists of the release's sizes, drawn here (its own ids are not published as a split):
#   python tools/prepare/splits.py make --ids data/cityscapes/train.txt --out data/cityscapes --group guidedmix \
#     --counts 100 372 500 744 1488 --seed 0
_base_ = "cityscapes.py"
from mmseg_allspark.datasets import guidedmix_pipelines

crop_size = (769, 769)  # (h, w)
pipelines = guidedmix_pipelines((2049, 1025), crop_size, num_classes=19)
train_dataloader = dict(
    batch_size=2, dataset=dict(ann_file="splits/guidedmix/744/labeled.txt", pipeline=pipelines.labeled)
)
unlabeled_dataloader = dict(
    batch_size=2, dataset=dict(ann_file="splits/guidedmix/744/unlabeled.txt", pipeline=pipelines.unlabeled)
)
val_dataloader = dict(dataset=dict(pipeline=pipelines.test))
test_dataloader = val_dataloader
test_pipeline = pipelines.test  # for mmseg.apis
tta_pipeline = pipelines.tta
