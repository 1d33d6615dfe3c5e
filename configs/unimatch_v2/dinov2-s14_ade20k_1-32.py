# UniMatch V2, DINOv2-S, ADE20K, 631 labeled images.
# tools/dist_train.sh configs/unimatch_v2/dinov2-s14_ade20k_1-32.py 4
# paper mIoU 38.1 (UniMatch V2's logs); this file: tools/dev/make_configs.py
_base_ = "dinov2-s14_ade20k_1-16.py"
train_dataloader = dict(dataset=dict(ann_file="splits/ade20k/1_32/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/ade20k/1_32/unlabeled.txt"))
