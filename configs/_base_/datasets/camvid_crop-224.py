# CamVid, 11 classes. Prepare: python tools/prepare/camvid.py SRC --out data/camvid --fractions 1/16 1/32 --seed 123
_base_ = "photos_crop-224.py"
dataset = dict(
    type="CamVidDataset",
    data_root="data/camvid",
    data_prefix=dict(img_path="leftImg/train", seg_map_path="labels/train"),
)
train_dataloader = dict(dataset=dict(dataset, ann_file="splits/1_16/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(dataset, ann_file="splits/1_16/unlabeled.txt"))
val_dataloader = dict(dataset=dict(dataset, data_prefix=dict(img_path="leftImg/val", seg_map_path="labels/val")))
test_dataloader = val_dataloader
