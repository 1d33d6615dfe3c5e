# GuidedMix-Net on a transformer (not in the release): MiT-B5, PASCAL VOC 2012 original, 183 labeled images, crop 513,
# with AllSpark's data and schedule, to be compared with it.
# tools/dist_train.sh configs/guidedmix/segformer_b5_voc_1-8.py 4
# not in the paper
# The features that are mixed have 3072 channels at stride 4: 205 MB an image in float32.
_base_ = "../pseudo_label/segformer_b5_voc_1-8.py"
model = dict(type="GuidedMixSegmentor")
