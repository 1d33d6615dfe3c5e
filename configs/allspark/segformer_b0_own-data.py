# Step by step: docs/own_data.md
# Your own data: a few images with masks, a folder of images without, SegFormer MiT-B0, one GPU.
#
#   data/own/images/<id>.jpg  data/own/masks/<id>.png   masks hold class numbers 0 ... K-1, 255 = ignore
#                             (a 0/255 mask of a binary task has to be turned into 0/1 first)
#   data/own/labeled.txt      data/own/val.txt          one <id> a line; no id in both
#   data/own/unlabeled/       any images, any folders inside; or a glob, or a list (see UnlabeledDataset)
#
# Edit the variables below (the last two only if you know why), then:
# python tools/train.py configs/allspark/segformer_b0_own-data.py
# The backbone's ImageNet weights are downloaded; without a network give a file, or none:
# --cfg-options model.backbone.init_cfg.checkpoint=FILE        --cfg-options model.backbone.init_cfg=None
_base_ = "segformer_b0_camvid_1-16_robust.py"
# an import above _base_ would be another kind of config
from mmseg_allspark.datasets import semi_pipelines
from mmseg_allspark.models import feature_size

data_root = "data/own"
classes = ("background", "object")  # or a file with one name a line
palette = [(60, 60, 60), (230, 80, 60)]  # a colour (R, G, B) for each, for pictures
img_suffix = ".jpg"
seg_map_suffix = ".png"
reduce_zero_label = False  # True: 0 in the masks is ignored, the classes are 1 ... K
max_iters = 10000

crop_size = (257, 257)  # (h, w)
interval = max(1, max_iters // 10)
num_classes = len(palette)
metainfo = dict(classes=classes, palette=palette)
dataset = dict(
    _delete_=True,
    type="BaseSegDataset",
    data_root=data_root,
    img_suffix=img_suffix,
    seg_map_suffix=seg_map_suffix,
    reduce_zero_label=reduce_zero_label,
    data_prefix=dict(img_path="images", seg_map_path="masks"),
    metainfo=metainfo,
)
pipelines = semi_pipelines(crop_size, num_classes=num_classes, unlabeled_masks=False)
train_dataloader = dict(dataset=dict(dataset, ann_file="labeled.txt", pipeline=pipelines.labeled))
unlabeled_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="UnlabeledDataset",
        source="unlabeled",
        data_root=data_root,
        metainfo=metainfo,
        pipeline=pipelines.strong_unlabeled,
    )
)
val_dataloader = dict(dataset=dict(dataset, ann_file="val.txt", pipeline=pipelines.test))
test_dataloader = val_dataloader
test_pipeline = pipelines.test  # for mmseg.apis
model = dict(
    # class by class: one threshold for all lets easy classes take over (docs/results_camvid.md)
    confidence=dict(_delete_=True, type="ClassQuantileThreshold", keep=0.5),
    neck=dict(num_classes=num_classes, memory_size=feature_size(crop_size)),
    decode_head=dict(num_classes=num_classes),
)
train_cfg = dict(
    max_iters=max_iters,
    val_interval=interval,
    burn_in_iters=max_iters // 4,
    ramp_up_iters=max_iters // 4,
)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_iters, by_epoch=False)]
default_hooks = dict(
    checkpoint=dict(interval=interval),
    pseudo_label_pictures=dict(interval=interval),
    semantic_memory=dict(warmup_iters=max(1, min(75, max_iters // 10))),
)
