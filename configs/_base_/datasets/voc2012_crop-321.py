# PASCAL VOC 2012 with crop 321, without colour changes of labeled images: the data of UniMatch on R101.
_base_ = "voc2012.py"
crop_size = (321, 321)  # (h, w)
weak_geometry = [
    dict(type="RandomResizeLongSide", ratio_range=(0.5, 2.0)),
    dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=1.0),
    dict(type="PadAndMark", size=crop_size[::-1], pad_val=dict(img=0, seg=255)),
    dict(type="RandomFlip", prob=0.5),
]
labeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", num_classes=21),
    *weak_geometry,
    dict(type="PackSemiInputs"),
]
# masks of unlabeled images, where there are any, serve the agreement statistic in the log and nothing else
unlabeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", num_classes=21, optional=True),
    *weak_geometry,
    dict(type="PackSemiInputs"),
]
two_strong_unlabeled_pipeline = [
    *unlabeled_pipeline[:-1],
    dict(type="MultiView", views=dict(weak=[], strong1=_base_.colour, strong2=_base_.colour)),
    dict(type="PackSemiInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=labeled_pipeline))
unlabeled_dataloader = dict(dataset=dict(pipeline=unlabeled_pipeline))
