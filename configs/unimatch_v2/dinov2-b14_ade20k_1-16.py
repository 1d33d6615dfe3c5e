# UniMatch V2, ADE20K 1/16, 1263 labeled images, DINOv2-B, crop 518, 60 epochs.
# tools/dist_train.sh configs/unimatch_v2/dinov2-b14_ade20k_1-16.py 4
# paper mIoU 46.7 (UniMatch V2's README)
_base_ = [
    "../_base_/models/dinov2-b14_dpt.py",
    "../_base_/datasets/ade20k.py",
    "../_base_/schedules/adamw_poly_unimatch_v2_60e.py",
    "../_base_/default_runtime.py",
]
custom_imports = dict(imports=["mmseg_allspark", "mmseg_allspark.models.backbones.dinov2"], allow_failed_imports=False)
train_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.weak_labeled))
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.two_strong_unlabeled))
model = dict(type="UniMatchV2Segmentor", decode_head=dict(num_classes=150))
train_cfg = dict(type="PseudoLabelLoop", max_epochs=_base_.max_epochs, pseudo_labels_from="ema")
auto_scale_lr = dict(base_batch_size=8)
