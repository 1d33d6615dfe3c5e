# AllSpark on SAM's ViT-B/16, PASCAL VOC 2012 original, 183 labeled images, crop 512, 80 epochs. Needs mmpretrain:
#   pip install -e '.[mmpretrain]'
# tools/dist_train.sh configs/allspark/sam-b16_voc_1-8.py 4
# Not in the paper (it names SAM as a use), and never run at full size here: rates as usual for fine-tuning a large ViT.
_base_ = [
    "../_base_/datasets/voc2012.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
    "../_base_/models/vit-b_mlp.py",
]
custom_imports = dict(
    imports=["mmseg_allspark", "mmseg_allspark.models.backbones.from_mmpretrain"], allow_failed_imports=False
)
crop_size = (512, 512)  # 32 x 32 patches of 16
for pipeline in (_base_.labeled_pipeline, _base_.unlabeled_pipeline):
    for step in pipeline:
        if step["type"] == "RandomCrop":
            step["crop_size"] = crop_size
        if step["type"] == "Pad":
            step["size"] = crop_size
del pipeline, step
train_dataloader = dict(dataset=dict(pipeline=_base_.labeled_pipeline))
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.unlabeled_pipeline))
model = dict(
    type="SemiSegmentor",
    data_preprocessor=dict(test_cfg=dict(size_divisor=16)),
    backbone=dict(
        type="mmpretrain.ViTSAM",
        arch="base",
        img_size=1024,
        patch_size=16,
        out_channels=0,  # SAM's own reduction to 256 channels is left out
        use_abs_pos=True,
        use_rel_pos=True,
        window_size=14,
        out_indices=(2, 5, 8, 11),  # the layers with global attention
        init_cfg=dict(
            type="Pretrained",
            checkpoint="https://download.openmmlab.com/mmclassification/v1/vit_sam/vit-base-p16_sam-pre_3rdparty_sa1b-1024px_20230411-2320f9cc.pth",
            prefix="backbone.",
        ),
    ),
    neck=dict(type="AllSparkNeck", in_channels=768, num_classes=21, memory_size=(32, 32), sync="rank0"),
    decode_head=dict(num_classes=21),
    pseudo_label_keys="batch",
    # windows of the training crop, for which the backbone has positions; smaller images are padded to whole patches
    test_cfg=dict(mode="slide", crop_size=crop_size, stride=(341, 341)),
)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="AdamW", lr=5e-6, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=40.0), decode_head=dict(lr_mult=40.0))),
)
train_cfg = dict(
    type="PseudoLabelLoop",
    max_epochs=_base_.max_epochs,
)
custom_hooks = [
    dict(type="SemanticMemoryHook", warmup_epochs=5),
    dict(type="PseudoLabelStatisticsHook"),
]
