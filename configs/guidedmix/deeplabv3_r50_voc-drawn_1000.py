# as released, R50-DeepLabV3, 20k, PASCAL VOC 2012 augmented, own draw, 1000 labeled images.
# tools/dist_train.sh configs/guidedmix/deeplabv3_r50_voc-drawn_1000.py 4
# the paper's figure is not listed; this file: tools/dev/make_configs.py
_base_ = "deeplabv3_r50_voc-drawn_1464.py"
train_dataloader = dict(dataset=dict(ann_file="splits/guidedmix/1000/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/guidedmix/1000/unlabeled.txt"))
