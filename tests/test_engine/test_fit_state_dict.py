"""What of a state dict fits, for a module that adapts what it loads."""

import copy

import torch
from torch import nn

from mmseg_allspark.engine.checkpoint_fit import fit_state_dict


def test_a_module_that_resizes_what_it_loads():
    """As the position embeddings of mmpretrain's transformers do, in a hook of torch's."""

    class Positions(nn.Module):
        def __init__(self, length):
            super().__init__()
            self.embedding = nn.Parameter(torch.zeros(length))
            self.register_load_state_dict_pre_hook(self._resize)

        @staticmethod
        def _resize(module, state, prefix, *_):
            key = f"{prefix}embedding"
            state[key] = nn.functional.interpolate(state[key][None, None], size=len(module.embedding))[0, 0]

    model = nn.Sequential(nn.Linear(2, 2), Positions(6))
    untouched = copy.deepcopy(model.state_dict())
    given = nn.Sequential(nn.Linear(2, 3), Positions(3)).state_dict()
    given["1.embedding"] = torch.tensor([1.0, 2.0, 3.0])
    fit = fit_state_dict(model, given)
    assert fit.adapted == {"1.embedding": ((3,), (6,))}
    assert fit.changed == {"0.weight": ((3, 2), (2, 2)), "0.bias": ((3,), (2,))}
    assert fit.state["1.embedding"].tolist() == [1, 1, 2, 2, 3, 3]
    assert torch.equal(fit.state["0.weight"], untouched["0.weight"])
    assert all(torch.equal(value, untouched[key]) for key, value in model.state_dict().items())
    assert given["1.embedding"].tolist() == [1, 2, 3]
