# AllSpark, MiT-B5, COCO 2017, 81 classes, 463 labeled images.
# tools/dist_train.sh configs/allspark/segformer_b5_coco_1-256.py 4
# paper mIoU 41.65 (table 4); this file: tools/dev/make_configs.py
_base_ = "segformer_b5_coco_1-512.py"
train_dataloader = dict(dataset=dict(ann_file="splits/coco/1_256/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/coco/1_256/unlabeled.txt"))
