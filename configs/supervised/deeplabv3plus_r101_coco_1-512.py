# Supervised baseline, COCO 1/512, 232 labeled images, R101-DeepLabV3+, crop 513, 10 epochs.
# tools/dist_train.sh configs/supervised/deeplabv3plus_r101_coco_1-512.py 4       (4 GPUs, 8 labeled images each)
# paper mIoU 22.94 (table 4)
# The paper prints the literature's figure (its training differs; on COCO it is that of Xception-65).
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/coco81.py",
    "../_base_/schedules/sgd_poly_coco_10e.py",
    "../_base_/default_runtime.py",
]
model = dict(decode_head=dict(num_classes=81))
# an epoch is one pass over the labeled images
train_dataloader = dict(batch_size=8, drop_last=True, sampler=dict(type="DefaultSampler"))
train_cfg = dict(type="SupervisedLoop", max_epochs=_base_.max_epochs)
auto_scale_lr = dict(base_batch_size=32)
