# UniMatch with AllSpark's neck, synthetic data set, from scratch, 8 + 4 images: the neck is switched on, nothing else.
_base_ = "resnet18-tiny_synthetic.py"
model = dict(neck=dict(type="AllSparkNeck", in_channels=128, num_classes=8, memory_size=(4, 4), attn_drop=0.0))
default_hooks = dict(semantic_memory=dict(type="SemanticMemoryHook", warmup_iters=50))
