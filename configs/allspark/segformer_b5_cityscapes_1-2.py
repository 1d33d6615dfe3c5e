# AllSpark, MiT-B5, Cityscapes, 1488 labeled images.
# tools/dist_train.sh configs/allspark/segformer_b5_cityscapes_1-2.py 4
# paper mIoU 81.39 (table 3); this file: tools/dev/make_configs.py
_base_ = "segformer_b5_cityscapes_1-16.py"
train_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_2/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_2/unlabeled.txt"))
