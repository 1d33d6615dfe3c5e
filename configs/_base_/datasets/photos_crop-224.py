# Photographs for small trainings: crops of 224 x 224 (a multiple of 32, which TinyViT prefers), 4 labeled and 4
# unlabeled images a step. Children name the data set and its lists.
crop_size = (224, 224)  # (h, w)
weak_geometry = [
    dict(type="RandomResizeLongSide", ratio_range=(0.5, 2.0)),
    dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=1.0),
    dict(type="PadAndMark", size=crop_size[::-1], pad_val=dict(img=0, seg=255)),
    dict(type="RandomFlip", prob=0.5),
]
colour = [
    dict(type="RandomColorJitter", brightness=0.5, contrast=0.5, saturation=0.5, hue=0.25, prob=0.8),
    dict(type="RandomGray", prob=0.2),
    dict(type="RandomGaussianBlur", sigma=(0.1, 2.0), prob=0.5),
]
labeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask"),
    *weak_geometry,
    *colour,
    dict(type="PackSemiInputs"),
]
# masks of unlabeled images, where there are any, serve the agreement statistic in the log and nothing else
unlabeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", optional=True),
    *weak_geometry,
    dict(type="MultiView", views=dict(weak=[], strong=colour)),
    dict(type="PackSemiInputs"),
]
# for methods that train labeled images without colour changes, and unlabeled ones in two strong views (UniMatch)
weak_labeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask"),
    *weak_geometry,
    dict(type="PackSemiInputs"),
]
two_strong_unlabeled_pipeline = [
    *unlabeled_pipeline[:-2],
    dict(type="MultiView", views=dict(weak=[], strong1=colour, strong2=colour)),
    dict(type="PackSemiInputs"),
]
test_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask"),
    dict(type="PackSemiInputs"),
]
loader = dict(num_workers=1, persistent_workers=True)
train_dataloader = dict(
    loader,
    batch_size=4,
    drop_last=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(pipeline=labeled_pipeline),
)
unlabeled_dataloader = dict(
    loader,
    batch_size=4,
    drop_last=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(pipeline=unlabeled_pipeline),
)
val_dataloader = dict(
    loader,
    batch_size=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
