# PASCAL VOC 2012 with the classes background, cat, cow, dog, horse, person, sheep; the others are ignored.
# Folder as of tools/prepare/voc.py; lists ImageSets/Segmentation/{labeled_<n>,unlabeled_<n>,val}.txt.
_base_ = "../pipelines/crop_224.py"
data_root = "data/voc_animals"
metainfo = dict(
    classes=("background", "cat", "cow", "dog", "horse", "person", "sheep"),
    palette=[(0, 0, 0), (64, 0, 0), (64, 128, 0), (64, 0, 128), (192, 0, 128), (192, 128, 128), (128, 64, 0)],
)
dataset = dict(
    type="PascalVOCDataset",
    data_root=data_root,
    data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassAug"),
    metainfo=metainfo,
)
loader = dict(num_workers=1, persistent_workers=True)
train_dataloader = dict(
    loader,
    batch_size=4,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(dataset, ann_file="ImageSets/Segmentation/labeled_92.txt", pipeline=_base_.labeled_pipeline),
)
unlabeled_dataloader = dict(
    loader,
    batch_size=4,
    drop_last=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(dataset, ann_file="ImageSets/Segmentation/unlabeled_92.txt", pipeline=_base_.unlabeled_pipeline),
)
val_dataloader = dict(
    loader,
    batch_size=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(dataset, ann_file="ImageSets/Segmentation/val.txt", pipeline=_base_.test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
