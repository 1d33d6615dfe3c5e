# supervised, MiT-B5, PASCAL VOC 2012 original, 1464 labeled images.
# tools/dist_train.sh configs/supervised/segformer_b5_voc_full.py 4
# paper mIoU 77.01 (table 1); this file: tools/dev/make_configs.py
_base_ = "segformer_b5_voc_1-8.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/1464/labeled.txt"))
