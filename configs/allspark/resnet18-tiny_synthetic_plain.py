# AllSpark without threshold, alignment, strong view, CutMix and a teacher's labels, synthetic data set, 8 + 4 images.
# Burn-in, ramp-up and averaged evaluation stay, because it starts from random weights. Results: docs/comparison.md.
# python tools/prepare/synthetic.py && python tools/train.py configs/allspark/resnet18-tiny_synthetic_plain.py
_base_ = "../pseudo_label/resnet18-tiny_synthetic_plain.py"
model = dict(
    neck=dict(type="AllSparkNeck", in_channels=128, num_classes=8, memory_size=(4, 4)),
    # as the release: while labelling, an image's keys are all images of the batch
    pseudo_label_keys="batch",
)
default_hooks = dict(semantic_memory=dict(type="SemanticMemoryHook", warmup_iters=50))
