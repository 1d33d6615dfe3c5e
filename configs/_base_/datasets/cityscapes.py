# Cityscapes, 19 classes, ids in splits/cityscapes/<name>/{labeled,unlabeled}.txt.
#   python tools/prepare/cityscapes.py SRC --out data/cityscapes
#   python tools/prepare/splits.py cityscapes SPLITS --out data/cityscapes
# Names: 1_30, 1_16, 1_8, 1_4, 1_2. Models are tested with the sliding window of the model config.
#
# A concrete config chooses another split like this:
#   train_dataloader = dict(dataset=dict(ann_file='splits/cityscapes/1_8/labeled.txt'))
#   unlabeled_dataloader = dict(dataset=dict(ann_file='splits/cityscapes/1_8/unlabeled.txt'))
# Another crop on the command line (--cfg-options), 129:
#   train_dataloader.dataset.pipeline.3.crop_size=129
#   train_dataloader.dataset.pipeline.4.size="(129,129)"
#   unlabeled_dataloader.dataset.pipeline.3.crop_size=129
#   unlabeled_dataloader.dataset.pipeline.4.size="(129,129)"
#   model.test_cfg.crop_size="(129,129)" model.test_cfg.stride="(86,86)"
#   model.neck.memory_size="(5,5)"        (crop / 32, rounded up)
# Another folder: KEY.data_root for KEY = train_dataloader.dataset, unlabeled_dataloader.dataset,
# val_dataloader.dataset and test_dataloader.dataset.
dataset_type = "CityscapesDataset"
data_root = "data/cityscapes"
crop_size = (801, 801)  # (h, w)
data_prefix = dict(img_path="leftImg8bit", seg_map_path="gtFine")

# The release pads before it crops; cropping first and then padding right and bottom gives the same.
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
    dict(type="LoadSegMask", num_classes=19),
    *weak_geometry,
    *colour,
    dict(type="PackSemiInputs"),
]
# masks of unlabeled images, where there are any, serve the agreement statistic in the log and nothing else
unlabeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", num_classes=19, optional=True),
    *weak_geometry,
    dict(type="PackSemiInputs"),
]
# for methods that train labeled images without colour changes, and unlabeled ones in two strong views (UniMatch)
weak_labeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", num_classes=19),
    *weak_geometry,
    dict(type="PackSemiInputs"),
]
two_strong_unlabeled_pipeline = [
    *unlabeled_pipeline[:-1],
    dict(type="MultiView", views=dict(weak=[], strong1=colour, strong2=colour)),
    dict(type="PackSemiInputs"),
]
test_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", num_classes=19),
    dict(type="PackSemiInputs"),
]

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="splits/cityscapes/1_16/labeled.txt",
        data_prefix=data_prefix,
        pipeline=labeled_pipeline,
    ),
)
unlabeled_dataloader = dict(
    batch_size=2,
    num_workers=4,
    drop_last=True,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="splits/cityscapes/1_16/unlabeled.txt",
        data_prefix=data_prefix,
        pipeline=unlabeled_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
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
