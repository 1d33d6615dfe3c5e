# ST++, R101-DeepLabV3+, PASCAL VOC 2012 augmented, 2646 labeled images.
# python tools/self_training.py configs/stpp/deeplabv3plus_r101_voc-aug_1-4.py --gpus 4
# paper mIoU 77.9 (as quoted by CorrMatch and ESL); this file: tools/dev/make_configs.py
_base_ = "deeplabv3plus_r101_voc_1-4.py"
train_dataloader = dict(dataset=dict(ann_file="splits/voc/1_4/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/voc/1_4/unlabeled.txt"))
