# UniMatch with AllSpark's neck, VOC animals, TinyViT, crop 224, 4 + 4 images a step.
_base_ = "mobilenetv2_voc-animals.py"
custom_imports = dict(imports=["mmseg_allspark", "mmseg_allspark.models.backbones.tiny_vit"])
model = dict(
    backbone=dict(
        _delete_=True,
        type="DenseTinyViT",
        arch="5m",
        last_stride=16,
        init_cfg=dict(type="Pretrained", checkpoint="weights/tiny_vit_5m_mobilesam.pth"),
    ),
    neck=dict(type="AllSparkNeck", in_channels=320, num_classes=7, memory_size=(14, 14)),
    decode_head=dict(in_channels=[64, 128, 160, 320]),
)
default_hooks = dict(semantic_memory=dict(type="SemanticMemoryHook", warmup_iters=100))
