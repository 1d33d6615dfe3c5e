# PS-MT, PASCAL VOC 2012 augmented, 5291 labeled images, R101-DeepLabV3+, crop 512, 300 epochs.
# tools/dist_train.sh configs/psmt/deeplabv3plus_r101_voc-aug_1-2.py 4
# paper mIoU 79.76 (PS-MT's README)
_base_ = "deeplabv3plus_r101_voc-aug_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/1_2/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/1_2/unlabeled.txt"))
max_epochs = 300
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=max_epochs)
