# UniMatch V2, COCO 1/512, 232 labeled images, DINOv2-B, crop 518, 20 epochs.
# tools/dist_train.sh configs/unimatch_v2/dinov2-b14_coco_1-512.py 4
# paper mIoU 47.9 (UniMatch V2's README)
_base_ = [
    "../_base_/models/dinov2-b14_dpt.py",
    "../_base_/datasets/coco81.py",
    "../_base_/schedules/adamw_poly_unimatch_v2_60e.py",
    "../_base_/default_runtime.py",
]
from mmseg_allspark.datasets import semi_pipelines

custom_imports = dict(imports=["mmseg_allspark", "mmseg_allspark.models.backbones.dinov2"], allow_failed_imports=False)
crop_size = (518, 518)  # 37 x 37 patches of 14
max_epochs = 20
pipelines = semi_pipelines(crop_size, num_classes=81)
train_dataloader = dict(dataset=dict(pipeline=pipelines.weak_labeled))
unlabeled_dataloader = dict(dataset=dict(pipeline=pipelines.two_strong_unlabeled))
model = dict(type="UniMatchV2Segmentor", decode_head=dict(num_classes=81))
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(type="PseudoLabelLoop", max_epochs=max_epochs, pseudo_labels_from="ema")
