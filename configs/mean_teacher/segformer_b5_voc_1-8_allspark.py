# Mean Teacher + CutMix with AllSpark's neck, PASCAL VOC 2012 original, 183 labeled images, MiT-B5, crop 513, 80 epochs.
# tools/dist_train.sh configs/mean_teacher/segformer_b5_voc_1-8_allspark.py 4
# not in the paper
_base_ = "segformer_b5_voc_1-8.py"
model = dict(
    neck=dict(type="AllSparkNeck", in_channels=512, num_classes=21, memory_size=(17, 17), sync="rank0"),
    pseudo_label_keys="batch",
)
default_hooks = dict(semantic_memory=dict(type="SemanticMemoryHook", warmup_epochs=5))
