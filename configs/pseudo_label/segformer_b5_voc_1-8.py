# SemiBaseline of table 5 (AllSpark without its neck): PASCAL VOC 2012 original, 183 labeled images, MiT-B5, crop 513.
# tools/dist_train.sh configs/pseudo_label/segformer_b5_voc_1-8.py 4
# paper mIoU 68.71 (table 5)
_base_ = [
    "../_base_/models/segformer_mit-b5.py",
    "../_base_/datasets/voc2012.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
model = dict(type="SemiSegmentor", decode_head=dict(num_classes=21))
train_cfg = dict(
    type="PseudoLabelLoop",
    max_epochs=_base_.max_epochs,
)
