# AllSpark, MiT-B5, Cityscapes, 372 labeled images.
# tools/dist_train.sh configs/allspark/segformer_b5_cityscapes_1-8.py 4
# paper mIoU 79.24 (table 3); this file: tools/dev/make_configs.py
_base_ = "segformer_b5_cityscapes_1-16.py"
train_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_8/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_8/unlabeled.txt"))
