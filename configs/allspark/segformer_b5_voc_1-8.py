# AllSpark, PASCAL VOC 2012 original protocol, 183 labeled images, MiT-B5, crop 513, 80 epochs.
# Before: data/VOCdevkit/VOC2012 and its lists, see configs/_base_/datasets/voc2012.py
# tools/dist_train.sh configs/allspark/segformer_b5_voc_1-8.py 4       (4 GPUs, 2 labeled + 2 unlabeled images each)
# paper mIoU 78.41 (table 1)
_base_ = "../pseudo_label/segformer_b5_voc_1-8.py"
model = dict(
    neck=dict(type="AllSparkNeck", in_channels=512, num_classes=21, memory_size=(17, 17), sync="rank0"),
    # as the release: while labelling, an image's keys are all images of the batch
    pseudo_label_keys="batch",
)
default_hooks = dict(semantic_memory=dict(type="SemanticMemoryHook", warmup_epochs=5))
