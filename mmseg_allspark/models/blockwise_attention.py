"""Softmax attention over projections of maps, block by block: neither affinity map nor keys are whole in memory.

The scheme is FlashAttention's (arXiv 2205.14135) on top of plain matrix products, with the projection of keys and
values inside. torch's fused kernels do not serve here: on the CPU they form the map as soon as there is dropout, on
GPUs the fast ones stop at 256 columns and a channel of AllSpark has a column per token (289 at crop 513).
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

# Entries of a block: on the CPU its float32 map stays in the shared cache, elsewhere it keeps the device busy.
_BLOCK_ENTRIES = {"cpu": 2**21}
_BLOCK_ENTRIES_ELSEWHERE = 2**23  # not tuned on a GPU yet
# Entries (96 MB of float32) of the map that are kept for the backward pass; it computes the others again.
KEPT_ENTRIES = 3 * 2**23


def attend_to_projections(
    query: Tensor, sources: Tensor, key_weight: Tensor, value_weight: Tensor, *, dropout: float = 0.0
) -> Tensor:
    """Compute dropout(softmax(Q K^T)) V, without any factor on Q K^T, where K and V are projections of ``sources``.

    Args:
        query: (m, N) float32 or bfloat16 (float16 would overflow); the others are of the same type.
        sources: (E, S, N), contiguous: S maps of E channels each.
        key_weight: (F, E). Each map gives F keys, so there are F*S keys.
        value_weight: (F, E).
        dropout: Probability in [0, 1) with which an attention weight is dropped; the others are scaled up. The masks
            follow torch's global generator and are never stored. Default 0.

    Returns:
        (m, N) of the type of ``query``. Softmax and sums are float32 whatever the type.
    """
    seed = int(torch.randint(2**62, ())) if dropout else 0  # torch's CPU generator: no synchronisation with a GPU
    keep = torch.is_grad_enabled()  # always off inside the function
    return _AttendToProjections.apply(query, sources, key_weight, value_weight, dropout, seed, keep)


class _AttendToProjections(torch.autograd.Function):
    """Legend: m query rows, s maps of a block, b = F*s keys of a block, N columns.

    Weights are positive, so their sign is free to say which ones dropout has dropped.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        query: Tensor,
        sources: Tensor,
        key_weight: Tensor,
        value_weight: Tensor,
        dropout: float,
        seed: int,
        keep_weights: bool,
    ) -> Tensor:
        top = query.new_full((len(query), 1), -torch.inf, dtype=torch.float32)  # largest entry of a row so far
        total = torch.zeros_like(top)
        out = torch.zeros_like(query, dtype=torch.float32)
        blocks = _Blocks(query, sources, key_weight, value_weight, dropout, seed)
        num_kept = KEPT_ENTRIES // blocks.entries if keep_weights else 0
        kept: list[Tensor] = []
        with _no_autocast(query):
            for index, (_, key, value) in enumerate(blocks):
                keep = index >= len(blocks) - num_kept
                weights = blocks.product(query, key.t(), None if keep else "weights")  # (m, b)
                new_top = torch.maximum(top, weights.amax(dim=1, keepdim=True))
                weights.sub_(new_top).exp_()
                decay = (top - new_top).exp_()
                total.mul_(decay).add_(weights.sum(dim=1, keepdim=True))
                left = blocks.positive(blocks.drop(weights))
                _add_product(out.mul_(decay), left.to(value.dtype), value)
                top = new_top
                kept += [weights.to(value.dtype), top] if keep else []
            out = out.div_(total * (1.0 - dropout)).to(query.dtype)
        ctx.save_for_backward(query, sources, key_weight, value_weight, out, top + total.log(), *kept)
        ctx.dropout, ctx.seed = dropout, seed
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        query, sources, key_weight, value_weight, out, log_total, *kept = ctx.saved_tensors
        dtype = query.dtype
        blocks = _Blocks(query, sources, key_weight, value_weight, ctx.dropout, ctx.seed)
        grad_query, grad_key_weight, grad_value_weight = (
            torch.zeros_like(side, dtype=torch.float32) for side in (query, key_weight, value_weight)
        )
        grad_sources = torch.empty_like(sources) if ctx.needs_input_grad[1] else None
        with _no_autocast(query):
            # sum over a row of weight times its gradient: the softmax's part of the derivative
            row_sum = (grad_out.float() * out.float()).sum(dim=1, keepdim=True)
            scaled = (grad_out / (1.0 - ctx.dropout)).to(dtype)
            kept = list(zip(kept[::2], kept[1::2], strict=True))  # (weights, top) of the last blocks
            recomputed = len(blocks) - len(kept)
            for index, (maps, key, value) in enumerate(blocks):
                if index >= recomputed:  # relative to the largest entry so far: a factor is missing
                    weights, top = kept[index - recomputed]
                    factor = (top - log_total).exp()
                else:
                    weights = blocks.drop(blocks.product(query, key.t(), "weights").sub_(log_total).exp_())
                    factor = torch.ones_like(log_total)
                left = blocks.positive(weights)
                # left * grad - |weights| * row_sum, where |weights| = 2 * left - weights
                grad_map = blocks.product(scaled, value.t(), "grad").sub_(2.0 * row_sum)
                grad_map = grad_map.mul_(left).addcmul_(weights, row_sum).to(dtype)
                rows, grad_rows = ((side * factor).to(dtype) for side in (query, scaled))
                grad_value = (left.to(dtype).t() @ grad_rows).view(len(value_weight), -1)  # (F, s*N)
                grad_key = (grad_map.t() @ rows).view(len(key_weight), -1)
                grad_query.addcmul_((grad_map @ key).float(), factor)
                _add_product(grad_key_weight, grad_key, maps.t())
                _add_product(grad_value_weight, grad_value, maps.t())
                if grad_sources is not None:
                    grad_maps = key_weight.t() @ grad_key + value_weight.t() @ grad_value
                    blocks.part(grad_sources, index).copy_(grad_maps.view(len(maps), -1, query.shape[1]))
        grads = (grad_query.to(dtype), grad_sources, grad_key_weight.to(dtype), grad_value_weight.to(dtype))
        return *grads, None, None, None


class _Blocks:
    """Keys and values of a few maps at a time, the marks of dropout, and space for the block's (m, b) map.

    Iterating gives (maps (E, s*N), key (b, N), value (b, N)). The marks are drawn when asked for, one block after the
    other: the first blocks draw the same ones from the same seed.
    """

    def __init__(
        self, query: Tensor, sources: Tensor, key_weight: Tensor, value_weight: Tensor, dropout: float, seed: int
    ) -> None:
        self._sources, self._weights, self._dropout = sources, (key_weight, value_weight), dropout
        per_map = len(query) * len(key_weight)
        budget = _BLOCK_ENTRIES.get(query.device.type, _BLOCK_ENTRIES_ELSEWHERE)
        self._maps = min(max(1, budget // per_map), sources.shape[1])
        self.entries = self._maps * per_map
        self._shape = (len(query), self._maps * len(key_weight))
        self._noise = _noise_source(dropout, seed, query.device) if dropout else None
        self._buffers: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return -(-self._sources.shape[1] // self._maps)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for index in range(len(self)):
            maps = self.part(self._sources, index).flatten(1)
            yield maps, *((weight @ maps).view(-1, self._sources.shape[2]) for weight in self._weights)

    def part(self, sources: Tensor, index: int) -> Tensor:
        """Return the (E, s, N) of a block."""
        return sources[:, index * self._maps : (index + 1) * self._maps]

    def drop(self, weights: Tensor) -> Tensor:
        """Make the weights that dropout drops negative, in place."""
        if self._noise is None:
            return weights
        return weights.copysign_(self._noise(self._buffer("scratch", weights.shape[1])))

    def positive(self, weights: Tensor) -> Tensor:
        """Return the weights with 0 for the dropped ones."""
        if not self._dropout:
            return weights
        out = self._buffer("scratch", weights.shape[1]) if weights.dtype == torch.float32 else None
        return torch.clamp(weights, min=0.0, out=out)

    def product(self, left: Tensor, right: Tensor, name: str | None) -> Tensor:
        """Return left @ right as float32, in the buffer of this name or, with None, in memory of its own."""
        if name is None or left.dtype != torch.float32:
            return (left @ right).float()
        return torch.mm(left, right, out=self._buffer(name, right.shape[1]))

    def _buffer(self, name: str, columns: int) -> Tensor:
        """Return the (m, columns) buffer of this name; a new one for every block costs as much as filling it."""
        rows, most = self._shape
        if name not in self._buffers:
            self._buffers[name] = torch.empty(rows * most, device=self._sources.device)
        return self._buffers[name][: rows * columns].view(rows, columns)


def _noise_source(dropout: float, seed: int, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return a function that fills its argument with numbers below 0 with probability ``dropout``, else not below."""
    if device.type != "cpu":
        generator = torch.Generator(device).manual_seed(seed)
        return lambda out: out.uniform_(generator=generator).sub_(dropout)
    # torch draws on one core, a number at a time: numpy's raw words take a quarter of its time.
    words = np.random.PCG64DXSM(seed)
    threshold = dropout * 2.0**32 - 2.0**31  # of uniform 32-bit words, read as signed

    def fill(out: Tensor) -> Tensor:
        for part in out.view(-1).split(2**18):  # pieces that stay in the core's cache
            bits = torch.from_numpy(words.random_raw((part.numel() + 1) // 2)).view(torch.int32)
            part.copy_(bits[: part.numel()]).sub_(threshold)
        return out

    return fill


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left @ right to a float32 total, in one step where the types allow it."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)


def _no_autocast(tensor: Tensor) -> torch.autocast:
    return torch.autocast(device_type=tensor.device.type, enabled=False)
