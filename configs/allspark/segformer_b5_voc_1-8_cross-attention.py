# Table 5, row 2: channel cross-attention to the unlabeled images of the step, no memory. VOC original 183, MiT-B5.
# tools/dist_train.sh configs/allspark/segformer_b5_voc_1-8_cross-attention.py 4
# paper mIoU 76.77 (table 5)
_base_ = "segformer_b5_voc_1-8.py"
model = dict(neck=dict(memory=False, memory_size=None))
del _base_.default_hooks["semantic_memory"]
