# A config of mmseg's zoo (UPerNet Swin-T, ADE20K in data/ade) becomes AllSpark; its data, head and optimizer stay as
# they are. in_channels: the backbone's deepest level; memory_size: its size at the crop, 512 / 32.
# Your unlabeled images: --cfg-options unlabeled_dataloader.dataset.source=data/my_images
_base_ = __import__("mmseg").__path__[0] + (
    "/.mim/configs/swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py"
)
custom_imports = dict(imports=["mmseg_allspark"])
model = dict(type="SemiSegmentor", neck=dict(type="AllSparkNeck", in_channels=768, num_classes=150, memory_size=16))
# no masks there, so none is loaded and no crop is chosen by one; labels come from the image without colour changes
kept = [step for step in _base_.train_pipeline if step["type"] not in ("LoadAnnotations", "PhotoMetricDistortion")]
pipeline = [dict(step, cat_max_ratio=1.0) if step["type"] == "RandomCrop" else step for step in kept]
dataset = dict(type="UnlabeledDataset", source="data/unlabeled", pipeline=pipeline)
unlabeled_dataloader = dict(batch_size=2, num_workers=4, sampler=dict(type="DefaultSampler"), dataset=dataset)
train_cfg = dict(type="PseudoLabelLoop", max_iters=160000, val_interval=16000)
default_hooks = dict(
    non_finite=dict(type="NonFiniteHook"),
    collapse=dict(type="CollapseMonitorHook"),
    semantic_memory=dict(type="SemanticMemoryHook", warmup_iters=8000),
    pseudo_label_statistics=dict(type="PseudoLabelStatisticsHook"),
)
auto_scale_lr = dict(enable=False, base_batch_size=16)  # 8 GPUs x 2 labeled images
