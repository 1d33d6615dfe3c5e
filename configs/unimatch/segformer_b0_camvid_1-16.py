# UniMatch, CamVid 1/16 (23 labeled, 344 unlabeled images), SegFormer MiT-B0, crop 257, 2 + 2 images.
# python tools/train.py configs/unimatch/segformer_b0_camvid_1-16.py
_base_ = "../pseudo_label/segformer_b0_camvid_1-16.py"
unlabeled_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", optional=True),
    *_base_.weak_geometry,
    dict(type="MultiView", views=dict(weak=[], strong1=_base_.colour, strong2=_base_.colour)),
    dict(type="PackSemiInputs"),
]
unlabeled_dataloader = dict(dataset=dict(pipeline=unlabeled_pipeline))
model = dict(type="UniMatchSegmentor")
