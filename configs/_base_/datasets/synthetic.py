# The embedded data set: toys on a table, 8 classes. Made by: python tools/prepare/synthetic.py --out data/synthetic
dataset_type = "SyntheticDataset"
data_root = "data/synthetic"
crop_size = (64, 64)  # (h, w)

weak_geometry = [
    dict(type="RandomResizeLongSide", ratio_range=(0.75, 1.5)),
    dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=1.0),
    dict(type="PadAndMark", size=crop_size[::-1], pad_val=dict(img=0, seg=255)),
    dict(type="RandomFlip", prob=0.5),
]
colour = [
    dict(type="RandomColorJitter", brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05, prob=0.8),
    dict(type="RandomGaussianBlur", sigma=(0.1, 1.0), prob=0.3),
]
labeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask"),
    *weak_geometry,
    *colour,
    dict(type="PackSemiInputs"),
]
# masks of the unlabeled images serve the agreement statistic in the log and nothing else
unlabeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", optional=True),
    *weak_geometry,
    dict(type="PackSemiInputs"),
]
strong_unlabeled_pipeline = [
    *unlabeled_pipeline[:-1],
    dict(type="MultiView", views=dict(weak=[], strong=colour)),
    dict(type="PackSemiInputs"),
]
two_strong_unlabeled_pipeline = [
    *unlabeled_pipeline[:-1],
    dict(type="MultiView", views=dict(weak=[], strong1=colour, strong2=colour)),
    dict(type="PackSemiInputs"),
]
test_pipeline = [dict(type="LoadImage"), dict(type="LoadSegMask"), dict(type="PackSemiInputs")]
data_prefix = dict(img_path="images", seg_map_path="masks")

train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="labeled.txt",
        data_prefix=data_prefix,
        pipeline=labeled_pipeline,
    ),
)
unlabeled_dataloader = dict(
    batch_size=4,
    num_workers=0,
    drop_last=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="unlabeled.txt",
        data_prefix=data_prefix,
        pipeline=unlabeled_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="val.txt",
        data_prefix=data_prefix,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
