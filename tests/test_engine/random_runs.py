"""Training with everything random in it, and the comparison of two such runs."""

import pickle

import numpy as np
import torch
from builders import backbone_config, dataset_config, head_config, loader_config, model_config, neck_config

AUGMENTED = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", optional=True),
    dict(type="RandomResize", scale=(65, 65), ratio_range=(1.0, 1.5), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(65, 65)),
    dict(type="RandomFlip", prob=0.5),
]
COLOUR = [dict(type="RandomColorJitter"), dict(type="RandomGaussianBlur")]
PIPELINES = dict(
    labeled=[*AUGMENTED, *COLOUR, dict(type="PackSemiInputs")],
    unlabeled=[*AUGMENTED, dict(type="MultiView", views=dict(weak=[], strong=COLOUR)), dict(type="PackSemiInputs")],
)
RANDOM_MODEL = dict(
    backbone=backbone_config(drop_rate=0.1, attn_drop_rate=0.1, drop_path_rate=0.3),
    neck=neck_config(attn_drop=0.1, proj_drop=0.1),
    decode_head=head_config(dropout_ratio=0.1),
    confidence=dict(type="ClassQuantileThreshold"),
    alignment=dict(),
    cutmix=dict(prob=0.7),
    unlabeled_view="strong",
)


def random_options(data, num_workers=0, **loop):
    """Options of ``builders.run_config`` for labels from the moving average, burn-in, ramp-up, warm-up and CutMix."""
    loaders = {
        name: loader_config(
            data, name, num_workers=num_workers, dataset=dataset_config(data, name, pipeline=PIPELINES[name])
        )
        for name in ("labeled", "unlabeled")
    }
    loop = dict(burn_in_iters=1, ramp_up_iters=4, pseudo_labels_from="ema", **loop)
    return dict(
        model=model_config(**RANDOM_MODEL),
        train_dataloader=loaders["labeled"],
        loop=dict(loop, unlabeled_dataloader=loaders["unlabeled"]),
        custom_hooks=[
            dict(type="SemanticMemoryHook", warmup_iters=4),
            dict(type="MeanTeacherHook", momentum=0.2),
        ],
        optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=0.01)),
        param_scheduler=[
            dict(type="PolyLR", power=0.9, begin=0, end=20, by_epoch=False),
            dict(type="StepLR", step_size=1, gamma=0.5, by_epoch=True),
        ],
        default_hooks=dict(checkpoint=dict(type="AtomicCheckpointHook", by_epoch=False, interval=1)),
    )


def assert_same_run(first, second):
    """What :func:`assert_same_weights` compares, with losses of unlabeled images."""
    names = assert_same_weights(first, second)
    assert any(name.startswith("train/unsup") for name in names), names


def assert_same_weights(first, second):
    """Weights, memory, average, optimizer, schedules and all losses ever logged, bit by bit; return the latter."""
    for key in ("state_dict", "ema_state_dict"):
        assert first[key].keys() == second[key].keys()
        assert not [name for name, value in first[key].items() if not torch.equal(value, second[key][name])]
    assert pickle.dumps(numpied(first["optimizer"])) == pickle.dumps(numpied(second["optimizer"]))
    assert first["param_schedulers"] == second["param_schedulers"]
    logs = [checkpoint["message_hub"]["log_scalars"] for checkpoint in (first, second)]
    names = [name for name in logs[0] if "loss" in name or "lr" in name]
    assert any("loss" in name for name in names), names
    for name in names:
        assert np.array_equal(logs[0][name].data, logs[1][name].data), name
    return names


def numpied(state):
    """Without tensors, the pickles of which differ by their storage, and without shared objects."""
    if isinstance(state, dict):
        return [(str(key), numpied(value)) for key, value in sorted(state.items(), key=lambda item: str(item[0]))]
    if isinstance(state, (list, tuple)):
        return [numpied(value) for value in state]
    return state.numpy().tobytes() if isinstance(state, torch.Tensor) else repr(state)
