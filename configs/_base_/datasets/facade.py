# LabelMeFacade, street photographs of many cities, 8 classes; "various" is ignored.
_base_ = "photos_crop-224.py"
dataset = dict(
    type="BaseSegDataset",
    data_root="data/facade",
    data_prefix=dict(img_path="images", seg_map_path="masks"),
    img_suffix=".jpg",
    seg_map_suffix=".png",
    metainfo=dict(
        classes=("building", "car", "door", "pavement", "road", "sky", "vegetation", "window"),
        palette=[
            (128, 0, 0), (128, 0, 128), (128, 128, 0), (128, 128, 128),
            (128, 64, 0), (0, 128, 128), (0, 128, 0), (0, 0, 128),
        ],
    ),
)  # fmt: skip
train_dataloader = dict(dataset=dict(dataset, ann_file="lists/labeled_25.txt"))
unlabeled_dataloader = dict(dataset=dict(dataset, ann_file="lists/unlabeled.txt"))
val_dataloader = dict(dataset=dict(dataset, ann_file="lists/val.txt"))
test_dataloader = val_dataloader
