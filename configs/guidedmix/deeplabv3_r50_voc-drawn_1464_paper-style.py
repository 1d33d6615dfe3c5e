# GuidedMix-Net as its papers describe it: our RECONSTRUCTION, the formulas could not be read. R50-DeepLabV3, PASCAL VOC
# 2012 augmented, 1464 labeled images (own draw), crop 512, 20k.
# tools/dist_train.sh configs/guidedmix/deeplabv3_r50_voc-drawn_1464_paper-style.py 4
# Similar images are mixed, MITrans works on their features, and the mask that is left teaches the plain prediction.
_base_ = "deeplabv3_r50_voc-drawn_1464.py"
model = dict(
    mix_level="image",
    pairing="similar",
    mitrans=dict(channels=512),
    direction="mixed_teacher",
    mixed_weight=1.0,
    unsup_loss=dict(type="PixelCrossEntropyLoss"),
    mask_padding=True,
)
