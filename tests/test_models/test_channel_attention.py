"""The attention against its equation, written out entry by entry."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_allspark.models import ChannelCrossAttention, ChannelSelfAttention, channel_attention
from mmseg_allspark.models.channel_attention import (
    affinity_scale,
    plain_channel_attention,
    projected_channel_attention,
    projected_moments,
)

from . import oracles


def draw(seed, *shape, scale=1.0, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=dtype) * scale


sizes = st.integers(1, 7)


@settings(max_examples=30, deadline=None)
@given(m=sizes, n=sizes, tokens=sizes, scale=st.sampled_from([0.03, 1.0, 30.0]), seed=st.integers(0, 999))
@pytest.mark.parametrize("attend", [channel_attention, plain_channel_attention])
def test_equals_the_equation(attend, m, n, tokens, scale, seed):
    query, key = draw(seed, m, tokens, scale=scale), draw(seed + 1, n, tokens, scale=scale) + scale
    value = draw(seed + 2, n, tokens)
    # float32 as in training, compared with the equation in float64
    got = attend(*(x.float()[None] for x in (query, key, value)))[0]
    expected = oracles.attention(query.numpy(), key.numpy(), value.numpy())
    np.testing.assert_allclose(got.numpy(), expected, atol=2e-4 * max(1.0, abs(expected).max()))


def projected(query, sources, key_weight, value_weight):
    """Keys and values formed: (E, S, N) maps and (F, E) weights to one set for all images."""
    sides = [torch.einsum("fe,esn->fsn", weight, sources).flatten(0, 1)[None] for weight in (key_weight, value_weight)]
    return plain_channel_attention(query, *sides)


@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(1, 3), m=sizes, maps=st.integers(1, 4), width=sizes, tokens=sizes, channels=st.integers(2, 5),
    seed=st.integers(0, 999),
)  # fmt: skip
def test_projected_and_plain_have_the_same_gradients(batch, m, maps, width, tokens, channels, seed):
    shapes = [(batch, m, tokens), (channels, maps, tokens), (width, channels), (width, channels)]
    inputs = [draw(seed + i, *shape, dtype=torch.float32) for i, shape in enumerate(shapes)]
    grad_out = draw(seed + 5, batch, m, tokens, dtype=torch.float32)
    results = []
    for attend in (projected_channel_attention, projected):
        leaves = [tensor.clone().requires_grad_() for tensor in inputs]
        out = attend(*leaves)
        results.append([out, *torch.autograd.grad(out, leaves, grad_out)])
    for exact, plain in zip(*results, strict=True):  # a map without variance is scaled by 316, and rounding with it
        torch.testing.assert_close(exact, plain, rtol=1e-3, atol=1e-3)


def test_scale_is_exact_where_a_large_mean_would_cancel():
    query, sources = draw(0, 40, 6) + 1000.0, draw(1, 5, 7, 6) + 1000.0
    weight = draw(2, 9, 5)
    key = torch.einsum("fe,esn->fsn", weight, sources).flatten(0, 1)
    expected = ((query @ key.T).var(correction=0) + oracles.PSI_EPS) ** -0.5
    got = affinity_scale(query.float(), *projected_moments(weight.float(), sources.float()))
    assert got.item() == pytest.approx(expected.item(), rel=1e-3)
    assert got.shape == (1, 1)


def test_queries_and_keys_without_a_common_direction_give_no_nan():
    for seed in range(10):
        basis = torch.linalg.qr(draw(seed, 16, 16))[0].float()
        query = draw(seed + 20, 1, 30, 4).float() * 50 @ basis[:4]
        sources = draw(seed + 40, 5, 3, 4).float() * 50 @ basis[4:8]
        out = projected_channel_attention(query, sources, draw(60, 9, 5).float(), draw(61, 9, 5).float())
        assert out.isfinite().all()


def test_float16_does_not_overflow_where_attention_is_flat():
    """Weights relative to the largest of a row add up to the number of keys."""
    query, sources = torch.zeros(1, 2, 8, dtype=torch.float16), torch.full((1, 40, 8), 5.0, dtype=torch.float16)
    weight = torch.ones(512, 1, dtype=torch.float16)
    out = projected_channel_attention(query, sources, weight, weight)
    assert out.dtype == torch.float16
    torch.testing.assert_close(out, torch.full_like(out, 5.0))


def test_dropout_acts_in_training_only_and_keeps_the_mean(attention_path):
    module = ChannelCrossAttention(6, attn_drop=0.5, proj_drop=0.0)
    tokens = torch.randn(1, 4, 6)
    reference = module.eval()(tokens, tokens, shared=True)
    torch.testing.assert_close(module(tokens, tokens, shared=True), reference)
    module.train()
    runs = torch.stack([module(tokens, tokens, shared=True) for _ in range(400)])
    assert runs.std(dim=0).max() > 1e-3
    torch.testing.assert_close(runs.mean(dim=0), reference, rtol=0.0, atol=0.1)


@pytest.mark.parametrize(
    ("option", "error", "text"),
    [
        (dict(num_heads=0), ValueError, "num_heads"),
        (dict(attn_drop=1.0), ValueError, "attn_drop=1.0 drops every"),
        (dict(implementation="quick"), ValueError, "implementation='quick'.*'exact', 'plain'"),
    ],
)
def test_bad_options_are_named(option, error, text):
    with pytest.raises(error, match=text):
        ChannelSelfAttention(4, **option)


@pytest.mark.parametrize("attention", [ChannelSelfAttention, ChannelCrossAttention])
def test_projections_start_xavier_uniform(attention):
    module = attention(channels=64, num_heads=2)
    for projection in (module.q, module.k, module.v, module.out):
        bound = (6 / (64 + 128)) ** 0.5
        weight = projection.weight
        assert 0.99 * bound < weight.abs().max() <= bound
        torch.testing.assert_close(weight.std(), torch.tensor(bound / 3**0.5), rtol=0.05, atol=0)
