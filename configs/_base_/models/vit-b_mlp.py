# A plain ViT-B of mmpretrain with the MLP head: four layers of it, all at one resolution. A concrete config names
# the backbone, its weights, and in custom_imports what registers it.
_base_ = "encoder_decoder.py"
model = dict(
    decode_head=dict(
        type="SegformerMLPHead",
        in_channels=[768, 768, 768, 768],
        in_index=[0, 1, 2, 3],
        channels=256,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    ),
)
