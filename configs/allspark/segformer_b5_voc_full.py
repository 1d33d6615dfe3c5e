# AllSpark, MiT-B5, PASCAL VOC 2012 original, 1464 labeled images.
# tools/dist_train.sh configs/allspark/segformer_b5_voc_full.py 4
# paper mIoU 82.12 (table 1); this file: tools/dev/make_configs.py
_base_ = "segformer_b5_voc_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/1464/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/1464/unlabeled.txt"))
