# SemiBaseline (AllSpark without its neck), COCO 1/512, 232 labeled images, MiT-B5, crop 513, 10 epochs.
# tools/dist_train.sh configs/pseudo_label/segformer_b5_coco_1-512.py 4
# not in the paper
_base_ = [
    "../_base_/models/segformer_mit-b5.py",
    "../_base_/datasets/coco81.py",
    "../_base_/schedules/sgd_poly_coco_10e.py",
    "../_base_/default_runtime.py",
]
model = dict(type="SemiSegmentor", decode_head=dict(num_classes=81))
train_cfg = dict(
    type="PseudoLabelLoop",
    max_epochs=_base_.max_epochs,
)
