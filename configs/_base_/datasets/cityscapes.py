# Cityscapes, 19 classes, ids in splits/cityscapes/<name>/{labeled,unlabeled}.txt.
#   python tools/prepare/cityscapes.py SRC --out data/cityscapes
#   python tools/prepare/splits.py cityscapes SPLITS --out data/cityscapes
# Names: 1_30, 1_16, 1_8, 1_4, 1_2. Models are tested with the sliding window of the model config.
# Another split, crop or folder: docs/configs.md
_base_ = "semi.py"
from mmseg_allspark.datasets import semi_pipelines

data_root = "data/cityscapes"
crop_size = (801, 801)  # (h, w)
pipelines = semi_pipelines(crop_size, num_classes=19)
dataset = dict(
    type="CityscapesDataset",
    data_root=data_root,
    data_prefix=dict(img_path="leftImg8bit", seg_map_path="gtFine"),
)
train_dataloader = dict(
    dataset=dict(dataset, ann_file="splits/cityscapes/1_16/labeled.txt", pipeline=pipelines.labeled)
)
unlabeled_dataloader = dict(
    drop_last=True,
    dataset=dict(dataset, ann_file="splits/cityscapes/1_16/unlabeled.txt", pipeline=pipelines.unlabeled),
)
val_dataloader = dict(dataset=dict(dataset, ann_file="val.txt", pipeline=pipelines.test))
test_dataloader = val_dataloader
test_pipeline = pipelines.test  # for mmseg.apis
tta_pipeline = pipelines.tta
