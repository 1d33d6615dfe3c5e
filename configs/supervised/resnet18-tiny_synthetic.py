# Supervised only, synthetic data set, from scratch, 8 labeled images per step.
# The averaged model is evaluated, as in the AllSpark config.
# python tools/prepare/synthetic.py && python tools/train.py configs/supervised/resnet18-tiny_synthetic.py
_base_ = [
    "../_base_/models/resnet18_tiny.py",
    "../_base_/datasets/synthetic.py",
    "../_base_/schedules/adamw_poly_synthetic.py",
    "../_base_/default_runtime.py",
]
default_hooks = dict(ema=dict(type="EMAHook", momentum=0.01, update_buffers=True))
