# PS-MT, PASCAL VOC 2012 original, 92 labeled images, R101-DeepLabV3+, crop 512, 80 epochs.
# tools/dist_train.sh configs/psmt/deeplabv3plus_r101_voc_1-16.py 4
# paper mIoU 65.8 (PS-MT's README)
_base_ = "deeplabv3plus_r101_voc_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/92/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/92/unlabeled.txt"))
model = dict(unsup_weight=0.06)  # of these few labels alone the release lowers it
