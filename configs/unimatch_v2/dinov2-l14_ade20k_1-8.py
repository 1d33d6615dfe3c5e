# UniMatch V2, DINOv2-L, ADE20K, 2526 labeled images.
# tools/dist_train.sh configs/unimatch_v2/dinov2-l14_ade20k_1-8.py 4
# paper mIoU 52.1 (UniMatch V2's logs); this file: tools/dev/make_configs.py
_base_ = "dinov2-l14_ade20k_1-16.py"
train_dataloader = dict(dataset=dict(ann_file="splits/ade20k/1_8/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/ade20k/1_8/unlabeled.txt"))
