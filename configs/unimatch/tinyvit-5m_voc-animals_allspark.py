# UniMatch with AllSpark's neck, VOC animals, TinyViT, crop 224, 4 + 4 images a step.
_base_ = "tinyvit-5m_voc-animals.py"
model = dict(neck=dict(type="AllSparkNeck", in_channels=320, num_classes=7, memory_size=(14, 14)))
default_hooks = dict(semantic_memory=dict(type="SemanticMemoryHook", warmup_iters=100))
