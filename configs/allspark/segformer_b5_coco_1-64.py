# AllSpark, MiT-B5, COCO 2017, 81 classes, 1849 labeled images.
# tools/dist_train.sh configs/allspark/segformer_b5_coco_1-64.py 4
# paper mIoU 49.56 (table 4); this file: tools/dev/make_configs.py
_base_ = "segformer_b5_coco_1-512.py"
train_dataloader = dict(dataset=dict(ann_file="splits/coco/1_64/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/coco/1_64/unlabeled.txt"))
