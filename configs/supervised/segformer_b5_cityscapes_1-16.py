# Supervised baseline, Cityscapes 1/16, 186 labeled images, MiT-B5, crop 801, 240 epochs.
# tools/dist_train.sh configs/supervised/segformer_b5_cityscapes_1-16.py 4       (4 GPUs, 4 labeled images each)
# paper mIoU 65.69 (table 3)
_base_ = [
    "../_base_/models/segformer_mit-b5.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/sgd_poly_cityscapes_240e.py",
    "../_base_/default_runtime.py",
]
model = dict(
    decode_head=dict(loss_decode=dict(_delete_=True, type="OhemLoss", thresh=0.7, min_kept=200_000)),
    test_cfg=dict(mode="slide", crop_size=(801, 801), stride=(534, 534)),
)
optim_wrapper = dict(optimizer=dict(lr=0.001))
# an epoch is one pass over the labeled images
train_dataloader = dict(batch_size=4, drop_last=True, sampler=dict(type="DefaultSampler"))
train_cfg = dict(type="SupervisedLoop", max_epochs=_base_.max_epochs)
auto_scale_lr = dict(base_batch_size=16)
