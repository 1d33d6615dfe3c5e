# UniMatch V2, Cityscapes 1/16, 186 labeled images, DINOv2-B, crop 798, 180 epochs, GPUs of 80 GB.
# tools/dist_train.sh configs/unimatch_v2/dinov2-b14_cityscapes_1-16.py 4
# paper mIoU 83.6 (UniMatch V2's README)
_base_ = [
    "../_base_/models/dinov2-b14_dpt.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/adamw_poly_unimatch_v2_60e.py",
    "../_base_/default_runtime.py",
]
from mmseg_allspark.datasets import semi_pipelines

custom_imports = dict(imports=["mmseg_allspark", "mmseg_allspark.models.backbones.dinov2"], allow_failed_imports=False)
crop_size = (798, 798)  # 57 x 57 patches of 14
max_epochs = 180
pipelines = semi_pipelines(crop_size, num_classes=19)
train_dataloader = dict(dataset=dict(pipeline=pipelines.weak_labeled))
unlabeled_dataloader = dict(dataset=dict(pipeline=pipelines.two_strong_unlabeled))
model = dict(
    type="UniMatchV2Segmentor",
    decode_head=dict(loss_decode=dict(_delete_=True, type="OhemLoss", thresh=0.7, min_kept=200_000)),
    test_cfg=dict(mode="slide", crop_size=crop_size, stride=(532, 532), average="probability"),
)
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(type="PseudoLabelLoop", max_epochs=max_epochs, pseudo_labels_from="ema")
auto_scale_lr = dict(base_batch_size=8)
