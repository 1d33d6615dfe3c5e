# AllSpark, COCO 1/512, 232 labeled images, MiT-B5, crop 513, 10 epochs.
# tools/dist_train.sh configs/allspark/segformer_b5_coco_1-512.py 4       (4 GPUs, 4 labeled + 4 unlabeled images each)
# paper mIoU 34.10 (table 4)
# The release's COCO config names no warm-up and cannot be built: one epoch of ten is ours.
_base_ = "../pseudo_label/segformer_b5_coco_1-512.py"
model = dict(
    neck=dict(type="AllSparkNeck", in_channels=512, num_classes=81, memory_size=(17, 17), sync="rank0"),
    # as the release: while labelling, an image's keys are all images of the batch
    pseudo_label_keys="batch",
)
default_hooks = dict(semantic_memory=dict(type="SemanticMemoryHook", warmup_epochs=1))
