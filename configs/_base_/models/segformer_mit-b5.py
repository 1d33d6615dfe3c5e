# SegFormer MiT-B5, head 768 wide.
_base_ = "segformer_mit-b0.py"
checkpoint = "https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b5_20220624-658746d9.pth"
model = dict(
    backbone=dict(embed_dims=64, num_layers=[3, 6, 40, 3], init_cfg=dict(checkpoint=checkpoint)),
    decode_head=dict(in_channels=[64, 128, 320, 512], channels=768),
)
