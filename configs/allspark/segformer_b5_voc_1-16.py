# AllSpark, MiT-B5, PASCAL VOC 2012 original, 92 labeled images.
# tools/dist_train.sh configs/allspark/segformer_b5_voc_1-16.py 4
# paper mIoU 76.07 (table 1); this file: tools/dev/make_configs.py
_base_ = "segformer_b5_voc_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/92/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/92/unlabeled.txt"))
