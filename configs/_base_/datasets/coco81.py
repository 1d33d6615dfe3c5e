# COCO 2017 as 81 classes: background and the 80 categories, ids in splits/coco/<name>/{labeled,unlabeled}.txt.
#   python tools/prepare/coco.py SRC --out data/coco
#   python tools/prepare/splits.py coco SPLITS --out data/coco
# Names: 1_512, 1_256, 1_128, 1_64, 1_32. The unlabeled images are train2017 without the labeled ones.
# Another split, crop or folder: docs/configs.md
_base_ = "semi.py"
from mmseg_allspark.datasets import semi_pipelines

data_root = "data/coco"
crop_size = (513, 513)  # (h, w)
pipelines = semi_pipelines(crop_size, num_classes=81)
dataset = dict(
    type="COCO81Dataset",
    data_root=data_root,
    data_prefix=dict(img_path="train2017", seg_map_path="masks/train2017"),
)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(dataset, ann_file="splits/coco/1_512/labeled.txt", pipeline=pipelines.labeled),
)
unlabeled_dataloader = dict(
    batch_size=4,
    drop_last=True,
    dataset=dict(dataset, ann_file="splits/coco/1_512/unlabeled.txt", pipeline=pipelines.unlabeled),
)
val_dataloader = dict(
    dataset=dict(
        dataset,
        ann_file="val2017.txt",
        data_prefix=dict(img_path="val2017", seg_map_path="masks/val2017"),
        pipeline=pipelines.test,
    )
)
test_dataloader = val_dataloader
test_pipeline = pipelines.test  # for mmseg.apis
tta_pipeline = pipelines.tta
