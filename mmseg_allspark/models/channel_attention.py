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

from mmseg_allspark.models.blockwise_attention import attend_to_projections
from mmseg_allspark.utils.checks import check_choice, check_positive_int, check_range

IMPLEMENTATIONS = ("exact", "plain")
PSI_EPS = 1e-5
# Affinity entries (16 MB of float32) up to which a map over shared keys is formed: avoiding it costs more.
SMALL_MAP = 2**22
# Rows of a multiple of 8 tokens are what matrix kernels like: on the CPU N = 289 (crop 513) is slower than 296.
TOKEN_MULTIPLE = 8


def channel_attention(query: Tensor, key: Tensor, value: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Attention softmax(psi(Q K^T)) V with psi = instance normalisation of the whole affinity map.

    Forms the map, without psi's mean: softmax does not see a constant.

    Args:
        query: (..., m, N).
        key: (..., n, N), broadcastable with ``query`` in the leading axes.
        value: Like ``key``.
        dropout: Probability with which attention weights are dropped. Default 0.

    Returns:
        Like ``query``.
    """
    affinity = (query @ key.transpose(-2, -1)).float()
    scale = torch.rsqrt(affinity.var(dim=(-2, -1), keepdim=True, correction=0) + PSI_EPS)
    weights = F.dropout((affinity * scale).softmax(dim=-1), p=dropout, training=dropout > 0)
    return weights.to(value.dtype) @ value


def plain_channel_attention(query: Tensor, key: Tensor, value: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Compute :func:`channel_attention` as the release does: psi in full, keys repeated for every image."""
    key, value = (side.expand(len(query), *side.shape[1:]).contiguous() for side in (key, value))
    affinity = query @ key.transpose(-2, -1)
    maps = affinity if affinity.dim() == 4 else affinity.unsqueeze(1)
    # instance_norm refuses a map of one entry, which is 0 after psi
    normalised = F.instance_norm(maps, eps=PSI_EPS) if maps[0, 0].numel() > 1 else maps - maps
    weights = F.dropout(normalised.view_as(affinity).softmax(dim=-1), p=dropout, training=dropout > 0)
    return weights.to(value.dtype) @ value


def projected_channel_attention(
    query: Tensor, sources: Tensor, key_weight: Tensor, value_weight: Tensor, *, dropout: float = 0.0
) -> Tensor:
    """Compute :func:`channel_attention` for keys that all images share, without keys and map in memory.

    Args:
        query: (B, m, N).
        sources: (E, S, N): S maps of E channels.
        key_weight: (F, E): every map gives F key channels.
        value_weight: (F, E).
        dropout: Probability with which attention weights are dropped. Default 0.

    Returns:
        (B, m, N).
    """
    scaled = query * affinity_scale(query, *projected_moments(key_weight, sources)).to(query.dtype)
    # Weights relative to the largest of a row add up to more than float16 holds.
    dtype = torch.float32 if query.dtype == torch.float16 else query.dtype
    sides = [side.to(dtype) for side in (scaled.flatten(0, 1), sources, key_weight, value_weight)]
    return attend_to_projections(*sides, dropout=dropout).view_as(query).to(query.dtype)


def affinity_scale(query: Tensor, key_mean: Tensor, key_cov: Tensor) -> Tensor:
    """Return (var(Q K^T) + eps)^-1/2 from token covariances, without forming Q K^T.

    softmax is invariant to a constant, so the mean that psi subtracts cancels and only this factor is left.
    With means q, k and N x N token covariances S_q, S_k, the variance over all m*n inner products is
    k' S_q k + q' S_k q + tr(S_q S_k): three non-negative terms, so means do not cancel numerically. The trace sums
    entries of both signs; it loses its digits only where queries and keys share no direction, and is 0 there.

    Args:
        query: (..., m, N).
        key_mean: (1, N) float32, mean of the keys.
        key_cov: (N, N) float32, their covariance.

    Returns:
        (..., 1, 1) in float32, differentiable in all arguments.
    """
    with torch.autocast(device_type=query.device.type, enabled=False):
        query = query.float()
        query_mean = query.mean(dim=-2, keepdim=True)
        centred = query - query_mean
        query_cov = centred.transpose(-2, -1) @ centred / centred.shape[-2]
        variance = (
            (key_mean @ query_cov @ key_mean.transpose(-2, -1))
            + (query_mean @ key_cov @ query_mean.transpose(-2, -1))
            + (query_cov * key_cov).sum(dim=(-2, -1), keepdim=True)
        )
        return torch.rsqrt(variance.clamp(min=0.0) + PSI_EPS)


def projected_moments(weight: Tensor, sources: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (1, N) and token covariance (N, N) over the F*S keys ``weight @ sources``, without forming them.

    The covariance is that within the maps, X' (W'W) X with W centred over its rows, plus that of the maps' means.

    Args:
        weight: (F, E).
        sources: (E, S, N), contiguous.

    Returns:
        Both in float32.
    """
    with torch.autocast(device_type=weight.device.type, enabled=False):
        weight, sources = weight.float(), sources.float()
        (number, _), (_, maps, tokens) = weight.shape, sources.shape
        flat = sources.flatten(1)
        weight_mean = weight.mean(dim=0, keepdim=True)
        centred = weight - weight_mean
        spread = (centred.t() @ centred) @ flat  # (E, S*N)
        within = sources.view(-1, tokens).t() @ spread.view(-1, tokens) / (number * maps)
        map_means = (weight_mean @ flat).view(maps, tokens)
        mean = map_means.mean(dim=0, keepdim=True)
        between = map_means - mean
        return mean, within + between.t() @ between / maps


class _ChannelAttention(BaseModule):
    """Bias-free projections E -> E*h and back, common to both branches.

    Args:
        channels: Embedding channels E.
        num_heads: Width factor h: E*h query channels. Default 2.
        attn_drop: Dropout of the attention weights. Default 0.1.
        proj_drop: Dropout of the output. Default 0.1.
        implementation: ``'exact'``, or ``'plain'`` as the release computes, for study. Both give the same numbers.
            Default ``'exact'``.
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
        if attn_drop == 1.0:
            raise ValueError("attn_drop=1.0 drops every attention weight; use a value below 1.")
        check_range("proj_drop", proj_drop, 0.0, 1.0)
        check_choice("implementation", implementation, IMPLEMENTATIONS)
        self.num_heads = num_heads
        self.attn_drop = attn_drop
        self.implementation = implementation
        self.q = nn.Linear(channels, channels * num_heads, bias=False)
        self.k = nn.Linear(channels, channels * num_heads, bias=False)
        self.v = nn.Linear(channels, channels * num_heads, bias=False)
        self.out = nn.Linear(channels * num_heads, channels, bias=False)
        for projection in (self.q, self.k, self.v, self.out):  # the release's start, 1.4 to 2 times torch's default
            nn.init.xavier_uniform_(projection.weight)
        self.proj_drop = nn.Dropout(proj_drop)

    @property
    def _dropout(self) -> float:
        """Dropout of the attention weights in the current mode."""
        return self.attn_drop if self.training else 0.0

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        attend = plain_channel_attention if self.implementation == "plain" else channel_attention
        return attend(query, key, value, dropout=self._dropout)


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
        attended = self._attend_shared(query, sources) if shared else self._attend(query, *self._project(sources))
        return self.proj_drop(self.out(attended.transpose(1, 2)))

    def _attend_shared(self, query: Tensor, sources: Tensor) -> Tensor:
        """Attend to the channels of all (S, N, E) maps side by side."""
        entries = query.shape[:-1].numel() * query.shape[1] * len(sources)
        if self.implementation == "plain" or entries <= SMALL_MAP:
            # One leading axis of size 1: the keys are broadcast over the images.
            return self._attend(query, *(side.flatten(0, 1).unsqueeze(0) for side in self._project(sources)))
        num_tokens = query.shape[2]
        padding = (0, -num_tokens % TOKEN_MULTIPLE)  # zeros change no inner product
        query, maps = F.pad(query, padding), F.pad(sources.permute(2, 0, 1), padding).contiguous()
        attended = projected_channel_attention(query, maps, self.k.weight, self.v.weight, dropout=self._dropout)
        return attended[..., :num_tokens]

    def _project(self, sources: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (S, E*h, N) of (S, N, E) maps."""
        return self.k(sources).transpose(1, 2), self.v(sources).transpose(1, 2)
