# UniMatch, COCO 1/512, 232 labeled images, R101-DeepLabV3+, crop 513, 30 epochs.
# tools/dist_train.sh configs/unimatch/deeplabv3plus_r101_coco_1-512.py 4
# not in the paper (its COCO figures, 31.9 to 48.2, are those of Xception-65, which mmseg does not have)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/coco81.py",
    "../_base_/schedules/sgd_poly_coco_30e_unimatch.py",
    "../_base_/default_runtime.py",
]
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=_base_.pipelines.weak_labeled))
unlabeled_dataloader = dict(batch_size=2, dataset=dict(pipeline=_base_.pipelines.two_strong_unlabeled))
model = dict(type="UniMatchSegmentor", decode_head=dict(num_classes=81))
train_cfg = dict(type="PseudoLabelLoop", max_epochs=_base_.max_epochs)
