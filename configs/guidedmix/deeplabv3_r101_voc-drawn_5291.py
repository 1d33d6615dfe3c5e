# as released, R101-DeepLabV3, 20k, PASCAL VOC 2012 augmented, own draw, 5291 labeled images.
# tools/dist_train.sh configs/guidedmix/deeplabv3_r101_voc-drawn_5291.py 4
# the paper's figure is not listed; this file: tools/dev/make_configs.py
_base_ = "deeplabv3_r101_voc-drawn_2646.py"
train_dataloader = dict(dataset=dict(ann_file="splits/guidedmix/5291/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/guidedmix/5291/unlabeled.txt"))
