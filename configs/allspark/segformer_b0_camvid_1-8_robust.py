# AllSpark with what keeps self-training from collapsing, CamVid 1/8 (46 labeled, 321 unlabeled images).
# Otherwise as the 1/16 config.
_base_ = "segformer_b0_camvid_1-16_robust.py"
train_dataloader = dict(dataset=dict(ann_file="splits/1_8/labeled.txt"))
unlabeled_dataloader = dict(dataset=dict(ann_file="splits/1_8/unlabeled.txt"))
