"""Channel-wise attention with an instance-normalised affinity (AllSpark, sections 3.2 and 3.3).

Channels attend to channels: the affinity of a query channel and a key channel is their inner product over
the tokens. Shapes are therefore written (..., channels, tokens): "sequence length" = channels,
"head width" = tokens.

Legend: B images, N tokens, E embedding channels, h heads, m query channels, n key channels.
"""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from mmseg_allspark.models.blockwise_attention import blockwise_attention
from mmseg_allspark.utils.checks import check_choice, check_positive_int, check_range

IMPLEMENTATIONS = ("exact", "plain")
PSI_EPS = 1e-5
# Affinity entries (16 MB of float32) up to which forming the map is cheaper than avoiding it, measured by
# tools/benchmark/neck.py; it holds the self-attention of the usual crops and inference, not the memory's.
SMALL_MAP = 2**22
# Rows of a multiple of 8 tokens are what matrix kernels like: N = 289 (crop 513) is slower than 296 on every device.
TOKEN_MULTIPLE = 8


def channel_attention(
    query: Tensor, key: Tensor, value: Tensor, *, dropout: float = 0.0, implementation: str = "exact"
) -> Tensor:
    """Attention softmax(psi(Q K^T)) V with psi = instance normalisation of the whole affinity map.

    Args:
        query: (B, m, N) or (B, h, m, N).
        key: (B or 1, n, N) with 3 axes, 1 where all images share the keys; (B, h, n, N) with 4.
        value: Like ``key``.
        dropout: Probability with which attention weights are dropped. Default 0.
        implementation: ``'exact'`` forms the affinity map only where it is small; ``'plain'`` is the formula as
            the release computes it: keys repeated for every image, whole maps. Both give the same numbers.

    Returns:
        Like ``query``.
    """
    if implementation == "plain":
        key, value = (side.expand(len(query), *side.shape[1:]).contiguous() for side in (key, value))
        affinity = query @ key.transpose(-2, -1)
        variance, mean = torch.var_mean(affinity.float(), dim=(-2, -1), keepdim=True, correction=0)
        normalised = (affinity - mean) * torch.rsqrt(variance + PSI_EPS)
        weights = F.dropout(normalised.softmax(dim=-1), p=dropout, training=dropout > 0)
        return weights.to(value.dtype) @ value
    if query.shape[:-1].numel() * key.shape[-2] <= SMALL_MAP:
        return _attend_through_map(query, key, value, dropout)
    # A constant per query cancels in softmax, so centred keys give the same weights; psi needs them anyway.
    key, *key_moments = _Moments.apply(key)
    scaled = query * affinity_scale(query, *key_moments).to(query.dtype)
    if query.dim() == 3 and len(key) == 1:  # keys of all images: one long list of query rows
        rows = [side.flatten(0, 1) for side in (scaled, key, value)]
        return blockwise_attention(*rows, dropout=dropout).view_as(query)
    # Fused kernels exist for 4 axes only.
    sides = [side if side.dim() == 4 else side.unsqueeze(1) for side in (scaled, key, value)]
    return F.scaled_dot_product_attention(*sides, dropout_p=dropout, scale=1.0).reshape(query.shape)


def _attend_through_map(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
    """Form the map; psi's mean is left out, softmax does not see it."""
    affinity = (query @ key.transpose(-2, -1)).float()
    scale = torch.rsqrt(affinity.var(dim=(-2, -1), keepdim=True, correction=0) + PSI_EPS)
    weights = F.dropout((affinity * scale).softmax(dim=-1), p=dropout, training=dropout > 0)
    return weights.to(value.dtype) @ value


def affinity_scale(query: Tensor, key_mean: Tensor, key_cov: Tensor) -> Tensor:
    """Return (var(Q K^T) + eps)^-1/2 from token covariances, without forming Q K^T.

    softmax is invariant to a constant, so the mean that psi subtracts cancels and only this factor is left.
    With means q, k and N x N token covariances S_q, S_k, the variance over all m*n inner products is
    k' S_q k + q' S_k q + tr(S_q S_k): three non-negative terms, so nothing cancels numerically.

    Args:
        query: (..., m, N).
        key_mean: (..., 1, N) float32, mean of the keys; broadcastable with ``query`` in the leading axes.
        key_cov: (..., N, N) float32, their covariance.

    Returns:
        (..., 1, 1) in float32, differentiable in all arguments.
    """
    _, query_mean, query_cov = _Moments.apply(query)
    with torch.autocast(device_type=query.device.type, enabled=False):
        variance = (
            (key_mean @ query_cov @ key_mean.transpose(-2, -1))
            + (query_mean @ key_cov @ query_mean.transpose(-2, -1))
            + (query_cov * key_cov).sum(dim=(-2, -1), keepdim=True)
        )
        return torch.rsqrt(variance + PSI_EPS)


class _Moments(torch.autograd.Function):
    """(..., m, N) -> centred over m, in the same type; mean (..., 1, N) and covariance (..., N, N) in float32.

    The gradient is written out because autograd's takes twice the products and three times the memory.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, channels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(device_type=channels.device.type, enabled=False):
            mean = channels.float().mean(dim=-2, keepdim=True)
            centred = channels - mean.to(channels.dtype)
            wide = centred.float()
            covariance = (wide.transpose(-2, -1) @ wide) / channels.shape[-2]
        ctx.save_for_backward(centred)
        return centred, mean, covariance

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_centred: Tensor, grad_mean: Tensor, grad_cov: Tensor) -> Tensor:
        (centred,) = ctx.saved_tensors
        number = centred.shape[-2]
        with torch.autocast(device_type=centred.device.type, enabled=False):
            symmetric = (grad_cov + grad_cov.transpose(-2, -1)) / number
            grad_row = (grad_mean - grad_centred.float().sum(dim=-2, keepdim=True)) / number
            return (centred @ symmetric.to(centred.dtype)).add_(grad_centred).add_(grad_row)


class _ChannelAttention(BaseModule):
    """Bias-free projections E -> E*h and back, common to both branches.

    Args:
        channels: Embedding channels E.
        num_heads: Width factor h: E*h query channels. Default 2.
        attn_drop: Dropout of the attention weights. Default 0.1.
        proj_drop: Dropout of the output. Default 0.1.
        implementation: See :func:`channel_attention`. Default ``'exact'``.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int = 2,
        attn_drop: float = 0.1,
        proj_drop: float = 0.1,
        implementation: str = "exact",
    ) -> None:
        super().__init__()
        check_positive_int("num_heads", num_heads)
        check_range("attn_drop", attn_drop, 0.0, 1.0)
        check_range("proj_drop", proj_drop, 0.0, 1.0)
        check_choice("implementation", implementation, IMPLEMENTATIONS)
        self.num_heads = num_heads
        self.attn_drop = attn_drop
        self.implementation = implementation
        self.q = nn.Linear(channels, channels * num_heads, bias=False)
        self.k = nn.Linear(channels, channels * num_heads, bias=False)
        self.v = nn.Linear(channels, channels * num_heads, bias=False)
        self.out = nn.Linear(channels * num_heads, channels, bias=False)
        self.proj_drop = nn.Dropout(proj_drop)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        dropout = self.attn_drop if self.training else 0.0
        return channel_attention(query, key, value, dropout=dropout, implementation=self.implementation)


class ChannelSelfAttention(_ChannelAttention):
    """Multi-head self-attention over the channels of each image (unlabeled branch)."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Attend within each image.

        Args:
            tokens: (B, N, E).

        Returns:
            (B, N, E).
        """
        heads = self._attend(*(self._split(proj(tokens)) for proj in (self.q, self.k, self.v)))
        # (B, h, E, N) -> (B, N, E, h): the release merges interleaved, output channel = e * h + head.
        merged = heads.permute(0, 3, 2, 1).flatten(2)
        return self.proj_drop(self.out(merged))

    def _split(self, projected: Tensor) -> Tensor:
        """(B, N, h*E) -> (B, h, E, N)."""
        return projected.unflatten(2, (self.num_heads, -1)).permute(0, 2, 3, 1)


class ChannelCrossAttention(_ChannelAttention):
    """Attention of each image's channels over a given set of channels, as one wide head (labeled branch)."""

    def forward(self, tokens: Tensor, sources: Tensor, *, shared: bool) -> Tensor:
        """Attend to the channels of ``sources``.

        Args:
            tokens: (B, N, E) of the querying images.
            sources: (S, N, E): token maps whose channels are the keys and values.
            shared: True: every image attends to the channels of all S maps side by side (n = S*E*h).
                False: image i attends to map i only (S = B, n = E*h).

        Returns:
            (B, N, E).
        """
        num_tokens = tokens.shape[1]
        # zeros change no inner product
        pad = 0 if self.implementation == "plain" else -num_tokens % TOKEN_MULTIPLE
        query = F.pad(self.q(tokens).transpose(1, 2), (0, pad))  # (B, E*h, N)
        if shared:
            # One product for all S maps and one leading axis of size 1: keys are never repeated over the images.
            channels = F.pad(sources.permute(2, 0, 1), (0, pad)).flatten(1)  # (E, S*N)
            attended = self._attend(
                query,
                (self.k.weight @ channels).view(1, -1, num_tokens + pad),
                (self.v.weight @ channels).view(1, -1, num_tokens + pad),
            )
        else:
            key, value = (F.pad(proj(sources).transpose(1, 2), (0, pad)) for proj in (self.k, self.v))
            attended = self._attend(query, key, value)
        attended = attended[..., :num_tokens]  # (B, E*h, N)
        return self.proj_drop(self.out(attended.transpose(1, 2)))
