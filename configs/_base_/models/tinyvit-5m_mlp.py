# TinyViT-5M as MobileSAM's image encoder, last level at stride 16, with the MLP head, 128 wide.
#   python tools/convert_mobilesam.py mobile_sam.pt weights/tiny_vit_5m_mobilesam.pth
# (mobile_sam.pt: weights/ of github:ChaoningZhang/MobileSAM). A concrete config registers it:
#   custom_imports = dict(imports=["mmseg_allspark", "mmseg_allspark.models.backbones.tiny_vit"])
_base_ = "mobilenetv2_mlp.py"
model = dict(
    backbone=dict(
        _delete_=True,
        type="DenseTinyViT",
        arch="5m",
        last_stride=16,
        frozen_stages=2,  # two thirds of the time of a step
        init_cfg=dict(type="Pretrained", checkpoint="weights/tiny_vit_5m_mobilesam.pth"),
    ),
    decode_head=dict(in_channels=[64, 128, 160, 320]),
)
