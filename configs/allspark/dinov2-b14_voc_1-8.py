# AllSpark on DINOv2 ViT-B/14, PASCAL VOC 2012 original, 183 labeled images, crop 518, 80 epochs. Needs mmpretrain:
#   pip install -e '.[mmpretrain]'
# tools/dist_train.sh configs/allspark/dinov2-b14_voc_1-8.py 4
# Not in the paper, and never run at full size here: rates as usual for fine-tuning a large ViT.
_base_ = [
    "../_base_/datasets/voc2012.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
    "../_base_/models/vit-b_mlp.py",
]
from mmseg_allspark.datasets import semi_pipelines

custom_imports = dict(
    imports=["mmseg_allspark", "mmseg_allspark.models.backbones.from_mmpretrain"], allow_failed_imports=False
)
crop_size = (518, 518)  # 37 x 37 patches of 14
pipelines = semi_pipelines(crop_size, num_classes=21)
train_dataloader = dict(dataset=dict(pipeline=pipelines.labeled))
unlabeled_dataloader = dict(dataset=dict(pipeline=pipelines.unlabeled))
model = dict(
    type="SemiSegmentor",
    data_preprocessor=dict(test_cfg=dict(size_divisor=14)),
    backbone=dict(
        type="mmpretrain.VisionTransformer",
        arch="base",
        img_size=518,
        patch_size=14,
        layer_scale_init_value=1e-5,
        out_indices=(2, 5, 8, 11),
        out_type="featmap",
        init_cfg=dict(
            type="Pretrained",
            checkpoint="https://download.openmmlab.com/mmpretrain/v1.0/dinov2/vit-base-p14_dinov2-pre_3rdparty_20230426-ba246503.pth",
            prefix="backbone.",
        ),
    ),
    neck=dict(type="AllSparkNeck", in_channels=768, num_classes=21, memory_size=(37, 37), sync="rank0"),
    decode_head=dict(num_classes=21),
    pseudo_label_keys="batch",
    # windows of the training crop, for which the backbone has positions; smaller images are padded to whole patches
    test_cfg=dict(mode="slide", crop_size=crop_size, stride=(345, 345)),
)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="AdamW", lr=5e-6, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=40.0), decode_head=dict(lr_mult=40.0))),
)
train_cfg = dict(
    type="PseudoLabelLoop",
    max_epochs=_base_.max_epochs,
)
default_hooks = dict(semantic_memory=dict(type="SemanticMemoryHook", warmup_epochs=5))
