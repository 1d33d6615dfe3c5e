# memory without grouping, MiT-B5, PASCAL VOC 2012 original, 732 labeled images.
# tools/dist_train.sh configs/allspark/segformer_b5_voc_1-2_memory.py 4
# paper mIoU 79.71 (table 5); this file: tools/dev/make_configs.py
_base_ = "segformer_b5_voc_1-8_memory.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/732/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/732/unlabeled.txt"))
