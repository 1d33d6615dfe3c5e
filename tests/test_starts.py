"""Fresh models have the shapes and the spread of the released ones; tests/golden/start holds shape and deviation."""

import json
import math

import pytest
import torch
from builders import ROOT
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_allspark.convert import convert_reference_checkpoint

MODELS_OF = {
    "allspark_mit-b5_voc": ("configs/allspark/segformer_b5_voc_1-8.py", 89.33),
    "unimatch_r101_voc": ("configs/unimatch/deeplabv3plus_r101_voc_1-8.py", 59.47),
}
# In ours alone: channels written, which the release does not count.
OURS_ALONE = {"neck.memory.enqueued"}
LARGE = 1000  # numbers from which on a deviation says something


@pytest.fixture(scope="module", params=MODELS_OF)
def start(request):
    """Mean and deviation of each released tensor by our names, our fresh model, its parameters in millions."""
    path, millions = MODELS_OF[request.param]
    released = json.loads((ROOT / f"tests/golden/start/{request.param}.json").read_text())
    released.pop("meta")
    # tensors filled with the released figure take the way of a checkpoint to our names and shapes
    means, deviations = (
        convert_reference_checkpoint(
            {name: torch.tensor(float(figures[which])).expand(shape) for name, (shape, *figures) in released.items()}
        )
        for which in (0, 1)
    )
    cfg = Config.fromfile(ROOT / path)
    init_default_scope("mmseg")
    cfg.model.pretrained = None
    cfg.model.backbone.init_cfg = None
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return means, deviations, model, millions


def test_names_and_shapes_are_the_released_ones(start):
    means, _, model, millions = start
    ours = {name: value.shape for name, value in model.state_dict().items() if "num_batches_tracked" not in name}
    assert ours == {name: value.shape for name, value in means.items()} | {
        name: ours[name] for name in OURS_ALONE & ours.keys()
    }
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert round(parameters / 1e6, 2) == millions


def test_deviations_are_the_released_ones(start):
    _, deviations, model, _ = start
    state = model.state_dict()
    large = {name: value for name, value in deviations.items() if value.numel() > LARGE}
    assert len(large) > 100
    wrong = {}
    for name, value in large.items():
        theirs, ours = value.square().mean().sqrt().item(), state[name].std().item()
        # two draws of n numbers differ by 1 / sqrt(n) of their deviation
        if not math.isclose(ours, theirs, rel_tol=max(0.05, 4 / value.numel() ** 0.5)):
            wrong[name] = (ours, theirs)
    assert not wrong


def test_what_starts_constant_is_the_released_constant(start):
    means, deviations, model, _ = start
    state = model.state_dict()
    constant = [name for name, value in deviations.items() if not value.any()]
    assert len(constant) > 100
    assert not [name for name in constant if (state[name] != means[name]).any()]
