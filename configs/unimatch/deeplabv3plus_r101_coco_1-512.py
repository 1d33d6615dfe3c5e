# UniMatch, COCO 1/512, 232 labeled images, R101-DeepLabV3+, crop 513, 30 epochs.
# tools/dist_train.sh configs/unimatch/deeplabv3plus_r101_coco_1-512.py 4
# not in the paper (its COCO figures, 31.9 to 48.2, are those of Xception-65, which mmseg does not have)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/coco81.py",
    "../_base_/schedules/sgd_poly_coco_30e_unimatch.py",
    "../_base_/default_runtime.py",
]
labeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", num_classes=81),
    *_base_.weak_geometry,
    dict(type="PackSemiInputs"),
]
unlabeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", num_classes=81, optional=True),
    *_base_.weak_geometry,
    dict(type="MultiView", views=dict(weak=[], strong1=_base_.colour, strong2=_base_.colour)),
    dict(type="PackSemiInputs"),
]
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=labeled_pipeline))
unlabeled_dataloader = dict(batch_size=2, dataset=dict(pipeline=unlabeled_pipeline))
model = dict(type="UniMatchSegmentor", decode_head=dict(num_classes=81))
train_cfg = dict(type="PseudoLabelLoop", max_epochs=_base_.max_epochs)
custom_hooks = [dict(type="PseudoLabelStatisticsHook")]
