# UniMatch V2 with AllSpark's neck, PASCAL VOC 2012 original, 183 labeled images, DINOv2-B, crop 518, 60 epochs.
# tools/dist_train.sh configs/unimatch_v2/dinov2-b14_voc_1-8_allspark.py 4
# not in the paper
_base_ = "dinov2-b14_voc_1-8.py"
model = dict(
    neck=dict(type="AllSparkNeck", in_channels=768, num_classes=21, memory_size=(37, 37), sync="rank0"),
    pseudo_label_keys="batch",
)
default_hooks = dict(semantic_memory=dict(type="SemanticMemoryHook", warmup_epochs=5))
