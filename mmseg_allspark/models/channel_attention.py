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

from mmseg_allspark.utils.checks import check_choice, check_positive_int, check_range

IMPLEMENTATIONS = ("exact", "plain")
PSI_EPS = 1e-5


def channel_attention(
    query: Tensor, key: Tensor, value: Tensor, *, dropout: float = 0.0, implementation: str = "exact"
) -> Tensor:
    """Attention softmax(psi(Q K^T)) V with psi = instance normalisation of the whole affinity map.

    Args:
        query: (B, m, N) or (B, h, m, N).
        key: (B or 1, n, N) with 3 axes, 1 where all images share the keys; (B, h, n, N) with 4.
        value: Like ``key``.
        dropout: Probability with which attention weights are dropped. Default 0.
        implementation: ``'exact'`` needs no m x n map for psi and leaves softmax to
            :func:`torch.nn.functional.scaled_dot_product_attention`, which may form it (on the CPU it does with
            dropout); ``'plain'`` follows the formula. Both give the same numbers.

    Returns:
        Like ``query``.
    """
    if implementation == "plain":
        affinity = query @ key.transpose(-2, -1)
        variance, mean = torch.var_mean(affinity.float(), dim=(-2, -1), keepdim=True, correction=0)
        normalised = (affinity - mean) * torch.rsqrt(variance + PSI_EPS)
        weights = F.dropout(normalised.softmax(dim=-1), p=dropout, training=dropout > 0)
        return weights.to(value.dtype) @ value
    scaled = query * affinity_scale(query, key).to(query.dtype)
    if query.dim() == 4:
        return F.scaled_dot_product_attention(scaled, key, value, dropout_p=dropout, scale=1.0)
    # Fused kernels exist for 4 axes only. Keys common to all images let these be one long list of query rows.
    rows = scaled.flatten(0, 1)[None, None] if key.shape[0] == 1 else scaled.unsqueeze(1)
    attended = F.scaled_dot_product_attention(rows, key.unsqueeze(1), value.unsqueeze(1), dropout_p=dropout, scale=1.0)
    return attended.reshape(query.shape)


def affinity_scale(query: Tensor, key: Tensor) -> Tensor:
    """Return (var(Q K^T) + eps)^-1/2 from token covariances, without forming Q K^T.

    softmax is invariant to a constant, so the mean that psi subtracts cancels and only this factor is left.
    With means q, k and N x N token covariances S_q, S_k, the variance over all m*n inner products is
    k' S_q k + q' S_k q + tr(S_q S_k): three non-negative terms, so nothing cancels numerically.

    Args:
        query: (..., m, N).
        key: (..., n, N), broadcastable with ``query`` in the leading axes.

    Returns:
        (..., 1, 1) in float32, differentiable in both arguments.
    """
    with torch.autocast(device_type=query.device.type, enabled=False):
        q_mean, q_cov = _token_moments(query.float())
        k_mean, k_cov = _token_moments(key.float())
        variance = (
            (k_mean @ q_cov @ k_mean.transpose(-2, -1))
            + (q_mean @ k_cov @ q_mean.transpose(-2, -1))
            + (q_cov * k_cov).sum(dim=(-2, -1), keepdim=True)
        )
        return torch.rsqrt(variance + PSI_EPS)


def _token_moments(channels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (..., 1, N) and covariance (..., N, N) of the tokens over the channels of (..., m, N)."""
    mean = channels.mean(dim=-2, keepdim=True)
    centred = channels - mean
    return mean, centred.transpose(-2, -1) @ centred / channels.shape[-2]


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
        query = self.q(tokens).transpose(1, 2)  # (B, E*h, N)
        key, value = (proj(sources).transpose(1, 2) for proj in (self.k, self.v))  # (S, E*h, N)
        if shared:
            # One leading axis of size 1: the keys are broadcast over the images, never repeated.
            key, value = (side.flatten(0, 1).unsqueeze(0) for side in (key, value))  # (1, S*E*h, N)
        return self.proj_drop(self.out(self._attend(query, key, value).transpose(1, 2)))
