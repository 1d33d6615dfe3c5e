# PS-MT, Cityscapes 1/2, 1488 labeled images, R50-DeepLabV3+, crop 800, 550 epochs.
# tools/dist_train.sh configs/psmt/deeplabv3plus_r50_cityscapes_1-2.py 4
# paper mIoU 79.22 (PS-MT's README)
_base_ = "deeplabv3plus_r50_cityscapes_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_2/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_2/unlabeled.txt"))
max_epochs = 550
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=max_epochs)
