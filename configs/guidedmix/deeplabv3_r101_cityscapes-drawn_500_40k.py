# as released, R101-DeepLabV3, 40k, Cityscapes, own draw, 500 labeled images.
# tools/dist_train.sh configs/guidedmix/deeplabv3_r101_cityscapes-drawn_500_40k.py 4
# the paper's figure is not listed; this file: tools/dev/make_configs.py
_base_ = "deeplabv3_r101_cityscapes-drawn_744_40k.py"
train_dataloader = dict(dataset=dict(ann_file="splits/guidedmix/500/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/guidedmix/500/unlabeled.txt"))
