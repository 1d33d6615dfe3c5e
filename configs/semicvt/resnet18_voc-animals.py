# SemiCVT, VOC animals, ResNet-18 at stride 16 with a transformer 64 wide, crop 224, 4 + 4 images a step.
# Not MobileNetV2, as in the other methods' configs: the two streams are a ResNet's stages and a block beside each.
_base_ = "../supervised/mobilenetv2_voc-animals.py"
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.unlabeled))
model = dict(
    type="SemiCVTSegmentor",
    backbone=dict(
        _delete_=True,
        type="ResNetCVT",
        depth=18,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        out_indices=(0, 3),
        width=64,
        num_heads=4,
        norm_cfg=_base_.norm_cfg,
        norm_eval=False,
        style="pytorch",
        init_cfg=dict(type="Pretrained", checkpoint="open-mmlab://resnet18_v1c"),
    ),
    decode_head=dict(
        _delete_=True,
        type="TwoStreamHead",
        in_channels=512,
        channels=128,
        c1_in_channels=64,
        c1_channels=24,
        dropout_ratio=0.1,
        num_classes=7,
        norm_cfg=_base_.norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    ),
    feature_channels=64,
    projection_channels=64,
)
train_cfg = dict(_delete_=True, pseudo_labels_from="ema", **_base_.semi_train_cfg)
default_hooks = dict(ema=dict(buffers="own", **_base_.teacher))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(projectors=dict(lr_mult=10.0), graph=dict(lr_mult=10.0))))
