"""Attention by blocks against the map written out, in every way it may go: blocks, kept or computed again, dropout."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_allspark.models import blockwise_attention as module
from mmseg_allspark.models.blockwise_attention import attend_to_projections

sizes = st.integers(1, 6)


def draw(seed, *shape, scale=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def inputs_of(seed, m, maps, keys, channels, width, scale=1.0):
    """Query (m, width), sources (channels, maps, width), weights of keys and values (keys, channels)."""
    shapes = [(m, width), (channels, maps, width), (keys, channels), (keys, channels)]
    tensors = [draw(seed + number, *shape) for number, shape in enumerate(shapes)]
    return [tensors[0] * scale, *tensors[1:]]


def formula(query, sources, key_weight, value_weight, mask=None):
    """Block by block the keys are in the order map, key of the map; the order matters for ``mask`` only."""
    key, value = (torch.einsum("fe,esn->sfn", side, sources).flatten(0, 1) for side in (key_weight, value_weight))
    weights = (query @ key.T).softmax(dim=1)
    return (weights if mask is None else weights * mask) @ value


@pytest.fixture(
    params=[(1, 10**6), (1, 90), (1, 0), (50, 10**6)],
    ids=["all kept", "some kept", "none kept", "several maps a block"],
)
def path(request, monkeypatch):
    """Entries of a block, 1 being one map, and how many of the weights are kept for the backward pass."""
    monkeypatch.setitem(module._BLOCK_ENTRIES, "cpu", request.param[0])
    monkeypatch.setattr(module, "KEPT_ENTRIES", request.param[1])


def both(run, reference, inputs, grad_out):
    """Output and gradients of two functions of the same inputs."""
    results = []
    for function, dtype in ((run, torch.float32), (reference, torch.float64)):
        leaves = [tensor.detach().clone().to(dtype).requires_grad_() for tensor in inputs]
        out = function(*leaves)
        results.append([out, *torch.autograd.grad(out, leaves, grad_out.to(dtype))])
    return zip(*results, strict=True)


@settings(max_examples=40, deadline=None)
@given(
    m=sizes, maps=sizes, keys=sizes, channels=sizes, width=sizes, scale=st.sampled_from([0.1, 1.0, 20.0]),
    seed=st.integers(0, 999),
)  # fmt: skip
def check_equals_the_formula(m, maps, keys, channels, width, scale, seed):
    inputs = inputs_of(seed, m, maps, keys, channels, width, scale)
    for got, expected in both(attend_to_projections, formula, inputs, draw(seed + 9, m, width)):
        torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=2e-4 * max(1.0, scale))


def test_equals_the_formula(path):
    check_equals_the_formula()


def show_weights(query, key, dropout):
    """The dropped attention map: with the identity as values, and one map, the output shows it."""
    number = len(key)
    wide = [torch.cat([side, side.new_zeros(len(side), number - side.shape[1])], dim=1) for side in (query, key)]
    eye = torch.eye(number)
    return attend_to_projections(wide[0], eye[:, None], wide[1], eye, dropout=dropout)


@pytest.mark.parametrize("dropout", [0.1, 0.5])
def test_gradient_with_dropout_is_that_of_the_same_masks(path, dropout):
    """The masks of one map, shown by :func:`show_weights`, and the same seed again with a gradient."""
    m, keys = 7, 40
    inputs = inputs_of(0, m, maps=1, keys=keys, channels=5, width=5)
    inputs[1] = torch.eye(5)[:, None]
    torch.manual_seed(4)
    shown = show_weights(inputs[0], inputs[2], dropout)
    mask = (shown != 0) / (1 - dropout)
    torch.testing.assert_close(shown, (inputs[0] @ inputs[2].T).softmax(dim=1) * mask, atol=1e-6, rtol=1e-5)

    def run(*leaves):
        torch.manual_seed(4)
        return attend_to_projections(*leaves, dropout=dropout)

    for got, expected in both(run, lambda *leaves: formula(*leaves, mask), inputs, draw(9, m, 5)):
        torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-5)


def test_kept_and_recomputed_weights_use_the_same_masks_in_every_block_and_another_seed_others(monkeypatch):
    monkeypatch.setitem(module._BLOCK_ENTRIES, "cpu", 1)
    results = []
    for entries, seed in ((10**6, 1), (60, 1), (0, 1), (0, 2)):
        monkeypatch.setattr(module, "KEPT_ENTRIES", entries)
        leaves = [tensor.requires_grad_() for tensor in inputs_of(0, m=4, maps=6, keys=5, channels=3, width=4)]
        torch.manual_seed(seed)
        out = attend_to_projections(*leaves, dropout=0.4)
        results.append([out, *torch.autograd.grad(out.square().sum(), leaves)])
    assert not torch.allclose(results[0][0], results.pop()[0], atol=1e-3)
    for values in zip(*results, strict=True):
        for other in values[1:]:
            torch.testing.assert_close(values[0], other, rtol=1e-4, atol=1e-5)


def test_dropout_drops_each_weight_with_its_probability_and_independently():
    dropout = 0.1
    torch.manual_seed(0)
    dropped = show_weights(draw(0, 400, 3), draw(1, 1500, 3), dropout) == 0
    spread = (dropout * (1 - dropout) / dropped.numel()) ** 0.5
    assert dropped.float().mean().item() == pytest.approx(dropout, abs=5 * spread)
    for neighbour in (dropped[1:] & dropped[:-1], dropped[:, 1:] & dropped[:, :-1]):
        assert neighbour.float().mean().item() == pytest.approx(dropout**2, abs=1e-3)


def test_half_precision_is_close_and_stays_half(path):
    dtype = torch.bfloat16
    inputs = [tensor.to(dtype) for tensor in inputs_of(0, m=20, maps=3, keys=8, channels=6, width=8)]
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    with torch.autocast("cpu", dtype=torch.bfloat16):  # the caller's autocast must not reach inside
        out = attend_to_projections(*leaves)
        gradients = torch.autograd.grad(out.sum(), leaves)
    assert {tensor.dtype for tensor in (out, *gradients)} == {dtype}
    wide = [tensor.float().requires_grad_() for tensor in inputs]
    expected = formula(*wide)
    for got, exact in zip((out, *gradients), (expected, *torch.autograd.grad(expected.sum(), wide)), strict=True):
        torch.testing.assert_close(got.float(), exact, rtol=3e-2, atol=5e-2 * exact.abs().max().item())


class _LargestTensor(TorchDispatchMode):
    """Remembers the most entries of any result."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.entries = max(self.entries, tensor.numel())
        return result


def test_neither_map_nor_keys_are_ever_whole(monkeypatch):
    monkeypatch.setitem(module._BLOCK_ENTRIES, "cpu", 1)
    monkeypatch.setattr(module, "KEPT_ENTRIES", 0)
    leaves = inputs_of(0, m=8, maps=32, keys=16, channels=2, width=4)
    leaves = [leaf.requires_grad_(number != 1) for number, leaf in enumerate(leaves)]  # as the memory
    with _LargestTensor() as largest:
        attend_to_projections(*leaves, dropout=0.1).sum().backward()
    assert 8 * 16 <= largest.entries < min(8 * 32 * 16, 32 * 16 * 4) / 4
