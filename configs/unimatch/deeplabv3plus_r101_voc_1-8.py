# UniMatch, PASCAL VOC 2012 original, 183 labeled images, R101-DeepLabV3+, crop 321, 80 epochs.
# tools/dist_train.sh configs/unimatch/deeplabv3plus_r101_voc_1-8.py 4
# paper mIoU 77.2 (UniMatch's README)
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/voc2012.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
crop_size = (321, 321)
weak_geometry = [
    dict(type="RandomResizeLongSide", ratio_range=(0.5, 2.0)),
    dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=1.0),
    dict(type="PadAndMark", size=crop_size, pad_val=dict(img=0, seg=255)),
    dict(type="RandomFlip", prob=0.5),
]
labeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", num_classes=21),
    *weak_geometry,
    dict(type="PackSemiInputs"),
]
unlabeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", num_classes=21, optional=True),
    *weak_geometry,
    dict(type="MultiView", views=dict(weak=[], strong1=_base_.colour, strong2=_base_.colour)),
    dict(type="PackSemiInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=labeled_pipeline))
unlabeled_dataloader = dict(dataset=dict(pipeline=unlabeled_pipeline))
model = dict(type="UniMatchSegmentor", decode_head=dict(num_classes=21))
train_cfg = dict(type="PseudoLabelLoop", max_epochs=_base_.max_epochs)
custom_hooks = [dict(type="PseudoLabelStatisticsHook")]
