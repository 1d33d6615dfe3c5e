# PASCAL VOC 2012 with the classes background, cat, cow, dog, horse, person, sheep; the others are ignored.
_base_ = "photos_crop-224.py"
dataset = dict(
    type="PascalVOCDataset",
    data_root="data/voc_animals",
    data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassAug"),
    metainfo=dict(
        classes=("background", "cat", "cow", "dog", "horse", "person", "sheep"),
        palette=[(0, 0, 0), (64, 0, 0), (64, 128, 0), (64, 0, 128), (192, 0, 128), (192, 128, 128), (128, 64, 0)],
    ),
)
train_dataloader = dict(dataset=dict(dataset, ann_file="ImageSets/Segmentation/labeled_92.txt"))
unlabeled_dataloader = dict(dataset=dict(dataset, ann_file="ImageSets/Segmentation/unlabeled_92.txt"))
val_dataloader = dict(dataset=dict(dataset, ann_file="ImageSets/Segmentation/val.txt"))
test_dataloader = val_dataloader
