# Table 5, row 3: the semantic memory without grouping, all channels added blindly. VOC original 183, MiT-B5.
# tools/dist_train.sh configs/allspark/segformer_b5_voc_1-8_memory.py 4
# paper mIoU 77.62 (table 5)
_base_ = "segformer_b5_voc_1-8.py"
model = dict(neck=dict(grouping=False))
