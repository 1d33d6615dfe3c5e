# UniMatch of AllSpark's table 6, PASCAL VOC 2012 original, 183 labeled images, MiT-B5, crop 513, 80 epochs.
# tools/dist_train.sh configs/unimatch/segformer_b5_voc_1-8.py 4
# paper mIoU 76.56 (table 6)
# The paper does not print its settings: crop and schedule are those of AllSpark.
_base_ = [
    "../_base_/models/segformer_mit-b5.py",
    "../_base_/datasets/voc2012.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
train_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.weak_labeled))
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.two_strong_unlabeled))
model = dict(type="UniMatchSegmentor", decode_head=dict(num_classes=21))
train_cfg = dict(type="PseudoLabelLoop", max_epochs=_base_.max_epochs)
