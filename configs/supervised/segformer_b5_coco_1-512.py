# Supervised baseline, COCO 1/512, 232 labeled images, MiT-B5, crop 513, 10 epochs.
# tools/dist_train.sh configs/supervised/segformer_b5_coco_1-512.py 4       (4 GPUs, 8 labeled images each)
# paper mIoU 19.66 (table 4)
_base_ = [
    "../_base_/models/segformer_mit-b5.py",
    "../_base_/datasets/coco81.py",
    "../_base_/schedules/sgd_poly_coco_10e.py",
    "../_base_/default_runtime.py",
]
model = dict(decode_head=dict(num_classes=81))
# an epoch is one pass over the labeled images
train_dataloader = dict(batch_size=8, drop_last=True, sampler=dict(type="DefaultSampler"))
train_cfg = dict(type="SupervisedLoop", max_epochs=_base_.max_epochs)
auto_scale_lr = dict(base_batch_size=32)
