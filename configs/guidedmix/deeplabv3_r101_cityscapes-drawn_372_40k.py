# GuidedMix-Net as released, R101-DeepLabV3, Cityscapes, 372 labeled images (own draw), crop 769, 40k.
# tools/dist_train.sh configs/guidedmix/deeplabv3_r101_cityscapes-drawn_372_40k.py 4
# the paper's figure is not listed
# The release's one config with another limit of lambda. Its ablation: --cfg-options model.lambda_factor=0.1 (0.2, 0.3)
_base_ = "deeplabv3_r101_cityscapes-drawn_744_40k.py"
model = dict(lambda_factor=0.4)
train_dataloader = dict(dataset=dict(ann_file="splits/guidedmix/372/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/guidedmix/372/unlabeled.txt"))
