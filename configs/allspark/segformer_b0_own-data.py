# AllSpark on your own data: a few labeled images, many without labels, one GPU. Step by step in docs/own_data.md.
# tools/prepare/own_data.py writes this config and those of the other methods with your data filled in.
# python tools/train.py configs/allspark/segformer_b0_own-data.py
# The backbone's ImageNet weights are downloaded; without a network give a file, or none:
# --cfg-options model.backbone.init_cfg.checkpoint=FILE        --cfg-options model.backbone.init_cfg=None
# Another backbone: mobilenetv2, convnext-t or dinov2-s instead of mit-b0 below, see docs/backbones.md.
_base_ = "../_base_/own_data/mit-b0.py"
# an import above _base_ would be another kind of config
from mmseg_allspark.datasets import semi_pipelines
from mmseg_allspark.models import feature_size

# holds labeled.txt, val.txt and masks/<id>.png
data_root = "data/own"
# folder of the labeled images
images = "images"
# folder, glob or list of the others
unlabeled = "unlabeled"
# or a file with one name a line
classes = ("background", "object")
# a colour (R, G, B) for each, for pictures
palette = [(60, 60, 60), (230, 80, 60)]
# "" if the lists hold it
img_suffix = ".jpg"
max_iters = 10000
# (h, w)
crop_size = _base_.crop_size

interval = max(1, max_iters // 10)
num_classes = len(palette)
metainfo = dict(classes=classes, palette=palette)
dataset = dict(
    type="BaseSegDataset",
    data_root=data_root,
    img_suffix=img_suffix,
    seg_map_suffix=".png",  # class numbers 0 ... K-1, 255 = ignored
    data_prefix=dict(img_path=images, seg_map_path="masks"),
    metainfo=metainfo,
)
pipelines = semi_pipelines(crop_size, num_classes=num_classes, unlabeled_masks=False)
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    drop_last=True,
    dataset=dict(dataset, ann_file="labeled.txt", pipeline=pipelines.labeled),
)
unlabeled_dataloader = dict(
    batch_size=train_dataloader["batch_size"],  # some methods need as many
    num_workers=2,
    drop_last=True,  # CutMix mixes two
    dataset=dict(
        type="UnlabeledDataset",
        source=unlabeled,
        data_root=data_root,
        metainfo=metainfo,
        pipeline=pipelines.strong_unlabeled,
    ),
)
val_dataloader = dict(num_workers=2, dataset=dict(dataset, ann_file="val.txt", pipeline=pipelines.test))
test_dataloader = val_dataloader
test_pipeline = pipelines.test  # for mmseg.apis
tta_pipeline = pipelines.tta
# the options with which unlabeled photographs helped, all off in AllSpark's paper: docs/results_photos.md
model = dict(
    type="SemiSegmentor",
    sup_weight=1.0,
    unsup_weight=1.0,
    unlabeled_view="strong",
    # class by class: one threshold for all lets easy classes take over
    confidence=dict(type="ClassQuantileThreshold", keep=0.6),
    cutmix=dict(),
    mask_padding=True,
    neck=dict(
        type="AllSparkNeck",
        in_channels=_base_.model.decode_head.in_channels[-1],
        num_classes=num_classes,
        memory_size=feature_size(crop_size, _base_.stride),
    ),
    decode_head=dict(num_classes=num_classes),
)
train_cfg = dict(
    _delete_=True,
    type="PseudoLabelLoop",
    max_iters=max_iters,
    val_interval=interval,
    pseudo_labels_from="ema",
    burn_in_iters=max_iters // 5,
    ramp_up_iters=max_iters // 10,
)
warmup = max(1, max_iters // 40)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=warmup),
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=warmup, end=max_iters, by_epoch=False),
]
default_hooks = dict(
    checkpoint=dict(interval=interval),
    pseudo_label_pictures=dict(interval=interval),
    ema=dict(type="MeanTeacherHook", momentum=0.02, evaluated="teacher"),
    semantic_memory=dict(type="SemanticMemoryHook", warmup_iters=max(1, min(75, max_iters // 10))),
)
auto_scale_lr = dict(base_batch_size=4)
