# The synthetic data set: toys on a table, 8 classes. Made by: python tools/prepare/synthetic.py --out data/synthetic
_base_ = "semi.py"
from mmseg_allspark.datasets import semi_pipelines

data_root = "data/synthetic"
crop_size = (64, 64)  # (h, w)
pipelines = semi_pipelines(
    crop_size,
    ratio_range=(0.75, 1.5),
    colour=[
        dict(type="RandomColorJitter", brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05, prob=0.8),
        dict(type="RandomGaussianBlur", sigma=(0.1, 1.0), prob=0.3),
    ],
)
dataset = dict(type="SyntheticDataset", data_root=data_root, data_prefix=dict(img_path="images", seg_map_path="masks"))
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(loader, batch_size=8, dataset=dict(dataset, ann_file="labeled.txt", pipeline=pipelines.labeled))
unlabeled_dataloader = dict(
    loader,
    batch_size=4,
    drop_last=True,
    dataset=dict(dataset, ann_file="unlabeled.txt", pipeline=pipelines.unlabeled),
)
val_dataloader = dict(loader, dataset=dict(dataset, ann_file="val.txt", pipeline=pipelines.test))
test_dataloader = val_dataloader
test_pipeline = pipelines.test  # for mmseg.apis
tta_pipeline = pipelines.tta
