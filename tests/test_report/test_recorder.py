"""``Recorder``: what modules return is kept as it was, and nothing is left on them."""

import pytest
import torch
from builders import build_model
from torch import nn

from mmseg_allspark.report import Recorder


@pytest.fixture
def model():
    return nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True))


def hooks(model):
    return [hook for module in model.modules() for hook in module._forward_hooks]


def test_every_call_is_kept_in_order_and_later_changes_in_place_do_not_show(model):
    inputs = [torch.tensor([[1.0, -3.0]]), torch.tensor([[-2.0, 0.5]])]
    expected = [model[0](x).detach() for x in inputs]
    assert any((value < 0).any() for value in expected)  # what the ReLU overwrites
    with Recorder(model, dict(linear="0", relu="1")) as record:
        for x in inputs:
            model(x)
    torch.testing.assert_close(record["linear"], expected)
    torch.testing.assert_close(record["relu"], [value.clamp(min=0) for value in expected])
    assert not any(value.requires_grad for value in record["linear"])


def test_hooks_are_gone_after_the_block_and_after_an_exception(model):
    recorder = Recorder(model, dict(linear="0"))
    assert not hooks(model)
    with recorder as first:
        assert len(hooks(model)) == 1
        model(torch.ones(1, 2))
    assert not hooks(model)
    with pytest.raises(RuntimeError), recorder as second:
        model(torch.ones(1, 2))
        model(torch.ones(1, 5))
    assert not hooks(model)
    model(torch.ones(1, 2))
    assert len(first["linear"]) == len(second["linear"]) == 1


def test_a_module_that_is_not_there_is_named_with_close_ones(model):
    with pytest.raises(KeyError, match=r"no module 'neck.map_inn'; it has .*neck\.map_in"):
        Recorder(build_model(), dict(maps="neck.map_inn"))
    with pytest.raises(KeyError, match="'zzz'; it has 0, 1"):
        Recorder(model, dict(maps="zzz"))
