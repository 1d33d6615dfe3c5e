"""Attention by blocks against the map written out, in every way it may go: blocks, kept or computed again, dropout."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_allspark.models import blockwise_attention as module
from mmseg_allspark.models.blockwise_attention import blockwise_attention

sizes = st.integers(1, 9)


def draw(seed, *shape, scale=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def formula(query, key, value, mask=None):
    weights = (query @ key.T).softmax(dim=1)
    return (weights if mask is None else weights * mask) @ value


@pytest.fixture(params=["all kept", "some kept", "none kept"])
def path(request, monkeypatch):
    """Blocks of at most 12 entries, and how many of the weights are kept for the backward pass."""
    monkeypatch.setitem(module._BLOCK_ENTRIES, "cpu", 12)
    monkeypatch.setattr(module, "KEPT_ENTRIES", {"all kept": 10**6, "some kept": 60, "none kept": 0}[request.param])
    return request.param


def both(run, reference, inputs, grad_out):
    """Output and gradients of two functions of the same inputs."""
    results = []
    for function, dtype in ((run, torch.float32), (reference, torch.float64)):
        leaves = [tensor.detach().clone().to(dtype).requires_grad_() for tensor in inputs]
        out = function(*leaves)
        results.append([out, *torch.autograd.grad(out, leaves, grad_out.to(dtype))])
    return zip(*results, strict=True)


@settings(max_examples=40, deadline=None)
@given(m=sizes, n=st.integers(1, 30), width=sizes, scale=st.sampled_from([0.1, 1.0, 20.0]), seed=st.integers(0, 999))
def check_equals_the_formula(m, n, width, scale, seed):
    inputs = [draw(seed, m, width, scale=scale), draw(seed + 1, n, width), draw(seed + 2, n, width)]
    for got, expected in both(blockwise_attention, formula, inputs, draw(seed + 3, m, width)):
        torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-4 * max(1.0, scale))


def test_equals_the_formula(path):
    check_equals_the_formula()


@pytest.mark.parametrize("dropout", [0.1, 0.5])
def test_gradient_with_dropout_is_that_of_the_same_masks(path, dropout):
    """With the identity as values the output is the dropped map, which gives the masks away."""
    m, n = 7, 40
    inputs = [draw(0, m, 5), draw(1, n, 5), draw(2, n, 5)]
    torch.manual_seed(4)
    shown = blockwise_attention(inputs[0] @ torch.eye(5, n), inputs[1] @ torch.eye(5, n), torch.eye(n), dropout=dropout)
    mask = (shown != 0) / (1 - dropout)
    torch.testing.assert_close(shown, formula(*inputs[:2], torch.eye(n), mask), atol=1e-6, rtol=1e-5)

    def run(*leaves):
        torch.manual_seed(4)
        return blockwise_attention(*leaves, dropout=dropout)

    for got, expected in both(run, lambda *leaves: formula(*leaves, mask), inputs, draw(3, m, 5)):
        torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-5)


def test_dropout_drops_each_weight_with_its_probability_and_independently():
    n, dropout = 1500, 0.1
    query, key = draw(0, 400, 3), draw(1, n, 3)
    torch.manual_seed(0)
    dropped = blockwise_attention(query @ torch.eye(3, n), key @ torch.eye(3, n), torch.eye(n), dropout=dropout) == 0
    spread = (dropout * (1 - dropout) / dropped.numel()) ** 0.5
    assert dropped.float().mean().item() == pytest.approx(dropout, abs=5 * spread)
    for neighbour in (dropped[1:] & dropped[:-1], dropped[:, 1:] & dropped[:, :-1]):
        assert neighbour.float().mean().item() == pytest.approx(dropout**2, abs=1e-3)


def test_masks_follow_the_global_seed():
    inputs = [draw(seed, 6, 4) for seed in range(3)]
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(blockwise_attention(*inputs, dropout=0.5))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_a_second_backward_gives_the_same(path):
    leaves = [draw(seed, 6, 4).requires_grad_() for seed in range(3)]
    out = blockwise_attention(*leaves, dropout=0.3)
    first, second = (torch.autograd.grad(out.sum(), leaves, retain_graph=True) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close_and_stays_half(path, dtype):
    inputs = [draw(seed, 20, 8).to(dtype) for seed in range(3)]
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    with torch.autocast("cpu", dtype=torch.bfloat16):  # the caller's autocast must not reach inside
        out = blockwise_attention(*leaves, dropout=0.0)
        gradients = torch.autograd.grad(out.sum(), leaves)
    assert {tensor.dtype for tensor in (out, *gradients)} == {dtype}
    wide = [tensor.float().requires_grad_() for tensor in inputs]
    expected = formula(*wide)
    for got, exact in zip((out, *gradients), (expected, *torch.autograd.grad(expected.sum(), wide)), strict=True):
        torch.testing.assert_close(got.float(), exact, rtol=3e-2, atol=3e-2 * exact.abs().max().item())


class _LargestTensor(TorchDispatchMode):
    """Remembers the most entries of any result."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.entries = max(self.entries, tensor.numel())
        return result


def test_no_tensor_is_as_large_as_the_map(monkeypatch):
    monkeypatch.setitem(module._BLOCK_ENTRIES, "cpu", 256)
    monkeypatch.setattr(module, "KEPT_ENTRIES", 0)
    leaves = [draw(seed, 64, 4).requires_grad_() for seed in range(3)]
    with _LargestTensor() as largest:
        blockwise_attention(*leaves, dropout=0.1).sum().backward()
    assert 256 <= largest.entries < 64 * 64 / 8
