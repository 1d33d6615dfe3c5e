# PS-MT, Cityscapes 1/4, 744 labeled images, R50-DeepLabV3+, crop 800, 450 epochs.
# tools/dist_train.sh configs/psmt/deeplabv3plus_r50_cityscapes_1-4.py 4
# paper mIoU 78.38 (PS-MT's README)
_base_ = "deeplabv3plus_r50_cityscapes_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_4/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_4/unlabeled.txt"))
max_epochs = 450
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=max_epochs)
