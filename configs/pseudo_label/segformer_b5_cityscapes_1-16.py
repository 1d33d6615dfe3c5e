# SemiBaseline (AllSpark without its neck), Cityscapes 1/16, 186 labeled images, MiT-B5, crop 801, 240 epochs.
# tools/dist_train.sh configs/pseudo_label/segformer_b5_cityscapes_1-16.py 4
# not in the paper
_base_ = [
    "../_base_/models/segformer_mit-b5.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/sgd_poly_cityscapes_240e.py",
    "../_base_/default_runtime.py",
]
model = dict(
    type="SemiSegmentor",
    decode_head=dict(loss_decode=dict(_delete_=True, type="OhemLoss", thresh=0.7, min_kept=200_000)),
    test_cfg=dict(mode="slide", crop_size=(801, 801), stride=(534, 534)),
)
optim_wrapper = dict(optimizer=dict(lr=0.001))  # as the release for this baseline; AllSpark has 0.005
train_cfg = dict(
    type="PseudoLabelLoop",
    max_epochs=_base_.max_epochs,
)
