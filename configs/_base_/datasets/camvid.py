# CamVid, 11 classes, semi-supervised. Prepare: python tools/prepare/camvid.py SRC --out data/camvid
# Another split, crop or folder: docs/configs.md
_base_ = "semi.py"
from mmseg_allspark.datasets import semi_pipelines

data_root = "data/camvid"
crop_size = (257, 257)  # (h, w)
pipelines = semi_pipelines(crop_size)
dataset = dict(
    type="CamVidDataset",
    data_root=data_root,
    data_prefix=dict(img_path="leftImg/train", seg_map_path="labels/train"),
)
train_dataloader = dict(
    num_workers=2,
    drop_last=True,
    dataset=dict(dataset, ann_file="splits/1_16/labeled.txt", pipeline=pipelines.labeled),
)
unlabeled_dataloader = dict(
    num_workers=2,
    dataset=dict(dataset, ann_file="splits/1_16/unlabeled.txt", pipeline=pipelines.unlabeled),
)
val_dataloader = dict(
    num_workers=2,
    dataset=dict(
        dataset,
        ann_file="",
        data_prefix=dict(img_path="leftImg/val", seg_map_path="labels/val"),
        pipeline=pipelines.test,
    ),
)
test_dataloader = val_dataloader
test_pipeline = pipelines.test  # for mmseg.apis
tta_pipeline = pipelines.tta
