# AllSpark on a CNN, PASCAL VOC 2012 original, 183 labeled images, R101-DeepLabV3+, crop 513, 80 epochs.
# tools/dist_train.sh configs/allspark/deeplabv3plus_r101_voc_1-8.py 4
# paper mIoU 73.70 (table 6)
# The paper does not say where the neck sits here: the deepest level, 2048 channels at stride 16. Its memory of
# 21 x 2048 x 33 x 33 numbers takes 187 MB, its keys and values twice that each; GPU memory was not measured.
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/voc2012.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
model = dict(
    type="SemiSegmentor",
    neck=dict(type="AllSparkNeck", in_channels=2048, num_classes=21, memory_size=(33, 33), sync="rank0"),
    decode_head=dict(num_classes=21),
    pseudo_label_keys="batch",
)
train_cfg = dict(
    type="PseudoLabelLoop",
    max_epochs=_base_.max_epochs,
)
default_hooks = dict(semantic_memory=dict(type="SemanticMemoryHook", warmup_epochs=5))
