"""Labels from the moving average, compared with an average computed by hand."""

import pytest
import torch
from builders import backbone_config, build_model, model_config

from .recording import record

MOMENTUM = 0.3


def averages(states):
    """The average before each step, from the model's own states before each step (mmengine's rule)."""
    average, result = None, [states[0]]
    for state in states[1:]:
        if average is None:
            average = {name: value.clone() for name, value in state.items()}
        else:
            for name, value in state.items():
                if value.is_floating_point():
                    average[name] = (1 - MOMENTUM) * average[name] + MOMENTUM * value
        result.append({name: value.clone() for name, value in average.items()})
    return result


def label(state, batch):
    model = build_model()
    model.load_state_dict(state)
    return model.label_unlabeled(batch["inputs"])


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    hook = dict(type="EMAHook", momentum=MOMENTUM, update_buffers=True)
    loop = dict(max_iters=5, pseudo_labels_from="ema", val_interval=2)
    optimizer = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.3))
    folder = tmp_path_factory.mktemp("ema")
    return record(data, folder, hooks=[hook], loop=loop, optim_wrapper=optimizer, validate=True)


def test_labels_are_those_of_the_average(run):
    """Also after a validation, for which mmengine swaps model and average."""
    _, log = run
    for state, batch in zip(averages(log.states), log.batches, strict=True):
        torch.testing.assert_close(batch["step"].record["pseudo"].logits, label(state, batch), rtol=1e-4, atol=1e-4)


def test_first_labels_come_from_the_initialised_weights(data, tmp_path):
    """EMAHook copies the model before mmengine initialises (or loads) its weights."""
    checkpoint = tmp_path / "backbone.pth"
    torch.save({"state_dict": build_model(seed=5).backbone.state_dict()}, checkpoint)
    backbone = backbone_config(init_cfg=dict(type="Pretrained", checkpoint=str(checkpoint)))
    _, log = record(
        data,
        tmp_path / "run",
        hooks=[dict(type="EMAHook")],
        loop=dict(max_iters=1, pseudo_labels_from="ema"),
        model=model_config(backbone=backbone),
    )
    torch.testing.assert_close(log.batches[0]["step"].record["pseudo"].logits, label(log.states[0], log.batches[0]))
