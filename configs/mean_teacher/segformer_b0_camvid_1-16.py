# Mean Teacher + CutMix, CamVid 1/16 (23 labeled, 344 unlabeled images), SegFormer MiT-B0, crop 257, 2 + 2 images.
# python tools/train.py configs/mean_teacher/segformer_b0_camvid_1-16.py
_base_ = "../pseudo_label/segformer_b0_camvid_1-16.py"
model = dict(type="MeanTeacherSegmentor")
train_cfg = dict(pseudo_labels_from="ema")
default_hooks = dict(ema=dict(type="MeanTeacherHook", momentum=0.01, evaluated="teacher"))
