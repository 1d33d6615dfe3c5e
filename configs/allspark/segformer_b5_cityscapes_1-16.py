# AllSpark, Cityscapes 1/16, 186 labeled images, MiT-B5, crop 801, 240 epochs.
# tools/dist_train.sh configs/allspark/segformer_b5_cityscapes_1-16.py 4  (4 GPUs, 2 labeled + 2 unlabeled images each)
# paper mIoU 78.33 (table 3)
_base_ = "../pseudo_label/segformer_b5_cityscapes_1-16.py"
model = dict(
    neck=dict(type="AllSparkNeck", in_channels=512, num_classes=19, memory_size=(26, 26), sync="rank0"),
    # as the release: while labelling, an image's keys are all images of the batch
    pseudo_label_keys="batch",
)
optim_wrapper = dict(optimizer=dict(lr=0.005))
default_hooks = dict(semantic_memory=dict(type="SemanticMemoryHook", warmup_epochs=15))
