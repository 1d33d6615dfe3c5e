# AllSpark, MiT-B5, PASCAL VOC 2012 original, 366 labeled images.
# tools/dist_train.sh configs/allspark/segformer_b5_voc_1-4.py 4
# paper mIoU 79.77 (table 1); this file: tools/dev/make_configs.py
_base_ = "segformer_b5_voc_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/366/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/366/unlabeled.txt"))
