# PASCAL VOC 2012: SegmentationClassAug (VOC's masks and SBD's), ids in splits/voc/<name>/{labeled,unlabeled}.txt.
#   python tools/prepare/voc.py SRC --out data/VOCdevkit/VOC2012
#   python tools/prepare/splits.py voc SPLITS --out data/VOCdevkit/VOC2012
# Names: 92, 183, 366, 732, 1464 (original), 1_16 to 1_2 (augmented), u2pl_1_16 to u2pl_1_4 (U2PL's); the unlabeled
# images are train_aug (10582) without the labeled ones.
# Another split, crop or folder: docs/configs.md
_base_ = "semi.py"
from mmseg_allspark.datasets import semi_pipelines

data_root = "data/VOCdevkit/VOC2012"
crop_size = (513, 513)  # (h, w)
pipelines = semi_pipelines(crop_size, num_classes=21)
dataset = dict(
    type="PascalVOCDataset",
    data_root=data_root,
    data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassAug"),
)
train_dataloader = dict(dataset=dict(dataset, ann_file="splits/voc/183/labeled.txt", pipeline=pipelines.labeled))
unlabeled_dataloader = dict(
    drop_last=True,
    dataset=dict(dataset, ann_file="splits/voc/183/unlabeled.txt", pipeline=pipelines.unlabeled),
)
val_dataloader = dict(dataset=dict(dataset, ann_file="ImageSets/Segmentation/val.txt", pipeline=pipelines.test))
test_dataloader = val_dataloader
test_pipeline = pipelines.test  # for mmseg.apis
tta_pipeline = pipelines.tta
