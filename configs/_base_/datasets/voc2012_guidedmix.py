# PASCAL VOC 2012 (augmented) as GuidedMix-Net's release reads it: base size (2048, 512), crop 512.
# Colours are changed in both kinds of images.
# Lists of the release's sizes, drawn here (its own ids are not published as a split):
#   VOC=data/VOCdevkit/VOC2012
#   python tools/prepare/splits.py make --ids $VOC/ImageSets/Segmentation/train_aug.txt --out $VOC --group guidedmix \
#     --counts 500 1000 1323 1464 2646 5291 --seed 0
_base_ = "voc2012.py"
from mmseg_allspark.datasets import guidedmix_pipelines

crop_size = (512, 512)  # (h, w)
pipelines = guidedmix_pipelines((2048, 512), crop_size, num_classes=21)
train_dataloader = dict(
    batch_size=4, dataset=dict(ann_file="splits/guidedmix/1464/labeled.txt", pipeline=pipelines.labeled)
)
unlabeled_dataloader = dict(
    batch_size=4, dataset=dict(ann_file="splits/guidedmix/1464/unlabeled.txt", pipeline=pipelines.unlabeled)
)
val_dataloader = dict(dataset=dict(pipeline=pipelines.test))
test_dataloader = val_dataloader
test_pipeline = pipelines.test  # for mmseg.apis
tta_pipeline = pipelines.tta
