# Supervised baseline, PASCAL VOC 2012 original, 183 labeled images, R101-DeepLabV3+, crop 513, 80 epochs.
# tools/dist_train.sh configs/supervised/deeplabv3plus_r101_voc_1-8.py 4       (4 GPUs, 4 labeled images each)
# paper mIoU 55.3 (table 1)
# The paper prints the literature's figure; its training may differ from this one.
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/voc2012.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
model = dict(decode_head=dict(num_classes=21))
# an epoch is one pass over the labeled images
train_dataloader = dict(batch_size=4, drop_last=True, sampler=dict(type="DefaultSampler"))
train_cfg = dict(type="SupervisedLoop", max_epochs=_base_.max_epochs)
auto_scale_lr = dict(base_batch_size=16)
