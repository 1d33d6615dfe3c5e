# AllSpark on the synthetic data set, from scratch, 8 + 4 images: what tools/quickstart.sh runs.
# On top of the plain algorithm, because it starts from random weights: labels from the moving average, colour
# changes and CutMix on the unlabeled side, a confidence threshold, distribution alignment, burn-in and ramp-up.
# python tools/prepare/synthetic.py && python tools/train.py configs/allspark/resnet18-tiny_synthetic.py
_base_ = "../pseudo_label/resnet18-tiny_synthetic.py"
model = dict(neck=dict(type="AllSparkNeck", in_channels=128, num_classes=8, memory_size=(4, 4), attn_drop=0.0))
default_hooks = dict(semantic_memory=dict(type="SemanticMemoryHook", warmup_iters=50))
