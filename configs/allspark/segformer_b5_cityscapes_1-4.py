# AllSpark, MiT-B5, Cityscapes, 744 labeled images.
# tools/dist_train.sh configs/allspark/segformer_b5_cityscapes_1-4.py 4
# paper mIoU 80.56 (table 3); this file: tools/dev/make_configs.py
_base_ = "segformer_b5_cityscapes_1-16.py"
train_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_4/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/cityscapes/1_4/unlabeled.txt"))
