# supervised, MiT-B5, PASCAL VOC 2012 original, 92 labeled images.
# tools/dist_train.sh configs/supervised/segformer_b5_voc_1-16.py 4
# paper mIoU 50.65 (table 1); this file: tools/dev/make_configs.py
_base_ = "segformer_b5_voc_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/92/labeled.txt"))
