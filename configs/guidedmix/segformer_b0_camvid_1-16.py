# GuidedMix-Net with the options of the released code, CamVid 1/16, SegFormer MiT-B0, crop 257, 2 + 2 images.
# python tools/prepare/camvid.py SRC --out data/camvid --fractions 1/16 1/8 --seed 123
# python tools/train.py configs/guidedmix/segformer_b0_camvid_1-16.py
_base_ = "../pseudo_label/segformer_b0_camvid_1-16.py"
model = dict(type="GuidedMixSegmentor")
unlabeled_dataloader = dict(drop_last=True)  # a labeled image for every unlabeled one
