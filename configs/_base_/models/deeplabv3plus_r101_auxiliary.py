# DeepLabV3+ with ResNet-101, OHEM and an auxiliary head on the third level, as in AEL, U2PL and DGCL.
_base_ = "deeplabv3plus_r101.py"
ohem = dict(type="OhemLoss", thresh=0.7, min_kept=100_000)
model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3)),
    decode_head=dict(loss_decode=dict(_delete_=True, **ohem)),
    auxiliary_head=dict(
        type="FCNHead",
        in_channels=1024,
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        align_corners=True,
        loss_decode=dict(ohem, loss_weight=0.4),
    ),
)
