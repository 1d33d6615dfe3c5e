# AllSpark with options on a convolutional backbone that knows classes, VOC animals, crop 224, 4 + 4 images a step.
_base_ = "../pseudo_label/mobilenetv2_voc-animals.py"
model = dict(neck=dict(type="AllSparkNeck", in_channels=320, num_classes=7, memory_size=(7, 7)))
default_hooks = dict(semantic_memory=dict(type="SemanticMemoryHook", warmup_iters=100))
