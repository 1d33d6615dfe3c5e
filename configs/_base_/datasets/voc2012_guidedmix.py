# PASCAL VOC 2012 (augmented) as GuidedMix-Net's release reads it: base size (2048, 512), crop 512.
# Colours are changed in both kinds of images.
# Lists of the release's sizes, drawn here (its own ids are not published as a split):
#   VOC=data/VOCdevkit/VOC2012
#   python tools/prepare/splits.py make --ids $VOC/ImageSets/Segmentation/train_aug.txt --out $VOC --group guidedmix \
#     --counts 500 1000 1323 1464 2646 5291 --seed 0
# Unlike the release no mask chooses the crop of an unlabeled image.
_base_ = "voc2012.py"
scale = (2048, 512)
crop_size = (512, 512)  # (h, w)
ending = [
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
    # with the mean colour (BGR): the release pads after it has normalised
    dict(type="PadAndMark", size=crop_size[::-1], pad_val=dict(img=(104, 116, 124), seg=255)),
    dict(type="PackSemiInputs"),
]
labeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", num_classes=21),
    dict(type="RandomResize", scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=0.75),
    *ending,
]
# masks of unlabeled images, where there are any, serve the agreement statistic in the log and nothing else
unlabeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", num_classes=21, optional=True),
    dict(type="RandomResize", scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=1.0),
    *ending,
]
# images are tested at the size they are trained around, the masks at their own
test_pipeline = [
    dict(type="LoadImage"),
    dict(type="Resize", scale=scale, keep_ratio=True),
    dict(type="LoadSegMask", num_classes=21),
    dict(type="PackSemiInputs"),
]
train_dataloader = dict(
    batch_size=4, dataset=dict(ann_file="splits/guidedmix/1464/labeled.txt", pipeline=labeled_pipeline)
)
unlabeled_dataloader = dict(
    batch_size=4, dataset=dict(ann_file="splits/guidedmix/1464/unlabeled.txt", pipeline=unlabeled_pipeline)
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
