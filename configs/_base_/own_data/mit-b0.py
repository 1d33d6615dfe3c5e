# What the own-data configs build on with SegFormer MiT-B0. docs/backbones.md compares the backbones.
_base_ = [
    "../models/segformer_mit-b0.py",
    "../datasets/semi.py",
    "../schedules/sgd_poly_camvid.py",
    "../default_runtime.py",
]
crop_size = (257, 257)  # (h, w)
stride = 32  # of the deepest features, in pixels
