# Pseudo-label baseline (AllSpark without its neck), CamVid 1/16, SegFormer MiT-B0, crop 257, 2 + 2 images.
_base_ = "../supervised/segformer_b0_camvid_1-16.py"
model = dict(type="SemiSegmentor")
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(base_batch_size=2)
train_cfg = dict(
    _delete_=True,
    type="PseudoLabelLoop",
    max_iters=_base_.max_iters,
    val_interval=150,
)
