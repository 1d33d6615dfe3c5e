# SegFormer MiT-B0 as in AllSpark's release: original LayerNorm constants, plain MLP head 256 wide.
_base_ = "encoder_decoder.py"
checkpoint = "https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b0_20220624-7e0fe6dd.pth"
model = dict(
    backbone=dict(
        type="ReferenceMixVisionTransformer",
        embed_dims=32,
        num_layers=[2, 2, 2, 2],
        num_heads=[1, 2, 5, 8],
        drop_path_rate=0.1,
        init_cfg=dict(type="Pretrained", checkpoint=checkpoint),
    ),
    decode_head=dict(
        type="SegformerMLPHead",
        in_channels=[32, 64, 160, 256],
        in_index=[0, 1, 2, 3],
        channels=256,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        align_corners=False,
        # avg_non_ignore: the mean is over labeled pixels, as in the release
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    ),
)
