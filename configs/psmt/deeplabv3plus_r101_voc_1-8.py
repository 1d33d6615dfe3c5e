# PS-MT, PASCAL VOC 2012 original, 183 labeled images, R101-DeepLabV3+, crop 512, 80 epochs.
# tools/dist_train.sh configs/psmt/deeplabv3plus_r101_voc_1-8.py 4
# paper mIoU 69.58 (PS-MT's README)
_base_ = "deeplabv3plus_r101_voc-aug_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/183/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/183/unlabeled.txt"))
model = dict(unsup_weight=0.6)
# 5 passes over the labeled images, then 12 epochs
train_cfg = dict(burn_in_iters=30, ramp_up_iters=12 * 324)
default_hooks = dict(ema=dict(begin_iter=30))
