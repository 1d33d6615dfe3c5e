# Supervised only, CamVid 1/16 (23 labeled images), SegFormer MiT-B0, crop 257.
# python tools/prepare/camvid.py SRC --out data/camvid --fractions 1/16 1/8 --seed 123
# python tools/train.py configs/supervised/segformer_b0_camvid_1-16.py
_base_ = [
    "../_base_/models/segformer_mit-b0.py",
    "../_base_/datasets/camvid.py",
    "../_base_/schedules/sgd_poly_camvid.py",
    "../_base_/default_runtime.py",
]
model = dict(decode_head=dict(num_classes=11))
# as many images per step as the semi-supervised runs see, all of them labeled
train_dataloader = dict(batch_size=4)
auto_scale_lr = dict(base_batch_size=4)
