# A config of mmseg's zoo (UPerNet Swin-T, ADE20K) becomes AllSpark; its data, head and optimizer stay as they are.
# Your unlabeled images: --cfg-options train_cfg.unlabeled_dataloader.dataset.source=data/my_images
_base_ = __import__("mmseg").__path__[0] + (
    "/.mim/configs/swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py"
)
custom_imports = dict(imports=["mmseg_allspark"])
model = dict(type="SemiSegmentor", neck=dict(type="AllSparkNeck", in_channels=768, num_classes=150, memory_size=16))
skipped = ("LoadAnnotations", "PhotoMetricDistortion")  # there are no masks; labels come from the weak view
steps = [dict(step) for step in _base_.train_pipeline if step["type"] not in skipped]
steps[2].update(cat_max_ratio=1.0)  # RandomCrop must not look at a mask
unlabeled = dict(type="UnlabeledDataset", source="data/unlabeled", pipeline=steps)
loader = dict(batch_size=2, num_workers=4, sampler=dict(type="InfiniteSampler"), dataset=unlabeled)
train_cfg = dict(type="PseudoLabelLoop", unlabeled_dataloader=loader, max_iters=160000, val_interval=16000)
custom_hooks = [dict(type="SemanticMemoryHook", warmup_iters=8000)]
