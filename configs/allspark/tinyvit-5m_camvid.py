# AllSpark with options on a small transformer, CamVid, crop 224, 4 + 4 images a step.
_base_ = "../pseudo_label/tinyvit-5m_camvid.py"
model = dict(neck=dict(type="AllSparkNeck", in_channels=320, num_classes=11, memory_size=(14, 14)))
default_hooks = dict(semantic_memory=dict(type="SemanticMemoryHook", warmup_iters=100))
