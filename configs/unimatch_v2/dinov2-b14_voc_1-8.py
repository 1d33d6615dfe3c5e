# UniMatch V2, PASCAL VOC 2012 original, 183 labeled images, DINOv2-B, crop 518, 60 epochs. Needs mmpretrain:
#   pip install -e '.[mmpretrain]'
# tools/dist_train.sh configs/unimatch_v2/dinov2-b14_voc_1-8.py 4
# paper mIoU 87.9 (UniMatch V2's README)
_base_ = [
    "../_base_/models/dinov2-b14_dpt.py",
    "../_base_/datasets/voc2012.py",
    "../_base_/schedules/adamw_poly_unimatch_v2_60e.py",
    "../_base_/default_runtime.py",
]
from mmseg_allspark.datasets import semi_pipelines

custom_imports = dict(imports=["mmseg_allspark", "mmseg_allspark.models.backbones.dinov2"], allow_failed_imports=False)
crop_size = (518, 518)  # 37 x 37 patches of 14
pipelines = semi_pipelines(crop_size, num_classes=21)
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=pipelines.weak_labeled))
unlabeled_dataloader = dict(batch_size=4, dataset=dict(pipeline=pipelines.two_strong_unlabeled))
model = dict(type="UniMatchV2Segmentor", decode_head=dict(num_classes=21))
train_cfg = dict(type="PseudoLabelLoop", max_epochs=_base_.max_epochs, pseudo_labels_from="ema")
