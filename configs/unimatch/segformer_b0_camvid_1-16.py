# UniMatch, CamVid 1/16 (23 labeled, 344 unlabeled images), SegFormer MiT-B0, crop 257, 2 + 2 images.
# python tools/train.py configs/unimatch/segformer_b0_camvid_1-16.py
_base_ = "../pseudo_label/segformer_b0_camvid_1-16.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.two_strong_unlabeled))
model = dict(type="UniMatchSegmentor")
