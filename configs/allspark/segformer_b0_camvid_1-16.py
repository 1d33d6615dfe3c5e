# AllSpark, CamVid 1/16 (23 labeled, 344 unlabeled images), SegFormer MiT-B0, crop 257, 2 + 2 images.
# python tools/prepare/camvid.py SRC --out data/camvid --fractions 1/16 1/8 --seed 123
# python tools/train.py configs/allspark/segformer_b0_camvid_1-16.py
_base_ = "../pseudo_label/segformer_b0_camvid_1-16.py"
model = dict(
    neck=dict(type="AllSparkNeck", in_channels=256, num_classes=11, memory_size=(9, 9)),
    # as the release: while labelling, an image's keys are all images of the batch
    pseudo_label_keys="batch",
)
default_hooks = dict(semantic_memory=dict(type="SemanticMemoryHook", warmup_iters=75))
