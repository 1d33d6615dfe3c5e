# UniMatch of AllSpark's table 6, PASCAL VOC 2012 original, 183 labeled images, MiT-B4, crop 513, 80 epochs.
# tools/dist_train.sh configs/unimatch/segformer_b4_voc_1-8.py 4
# paper mIoU 76.28 (table 6)
_base_ = "segformer_b5_voc_1-8.py"
checkpoint = "https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b4_20220624-d588d980.pth"
model = dict(backbone=dict(num_layers=[3, 8, 27, 3], init_cfg=dict(checkpoint=checkpoint)))
