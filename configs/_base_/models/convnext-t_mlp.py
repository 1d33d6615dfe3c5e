# ConvNeXt-T (ImageNet) with the MLP head, 256 wide: 28 M parameters. Needs mmpretrain, which a concrete config imports:
#   custom_imports = dict(imports=["mmseg_allspark", "mmseg_allspark.models.backbones.from_mmpretrain"])
_base_ = "mobilenetv2_mlp.py"
checkpoint = "https://download.openmmlab.com/mmclassification/v0/convnext/downstream/convnext-tiny_3rdparty_32xb128-noema_in1k_20220301-795e9634.pth"
model = dict(
    backbone=dict(
        _delete_=True,
        type="mmpretrain.ConvNeXt",
        arch="tiny",
        out_indices=[0, 1, 2, 3],
        drop_path_rate=0.1,
        gap_before_final_norm=False,
        init_cfg=dict(type="Pretrained", checkpoint=checkpoint, prefix="backbone."),
    ),
    decode_head=dict(in_channels=[96, 192, 384, 768], channels=256),
)
