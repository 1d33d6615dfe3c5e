"""Softmax attention block by block over the keys, so that a large map is never whole in memory.

The scheme is FlashAttention's (arXiv 2205.14135) on top of plain matrix products. torch's fused kernels do not serve
here: on the CPU they form the map as soon as there is dropout, on GPUs the fast ones stop at 256 columns and a channel
of AllSpark has a column per token (289 at crop 513).
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

# Entries of a block: on the CPU its float32 map stays in the shared cache, elsewhere it keeps the device busy.
_BLOCK_ENTRIES = {"cpu": 2**20}
_BLOCK_ENTRIES_ELSEWHERE = 2**25
# Entries (64 MB of float32) of the map that are kept for the backward pass; it computes the others again.
KEPT_ENTRIES = 2**24


def blockwise_attention(query: Tensor, key: Tensor, value: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Compute dropout(softmax(Q K^T)) V, without any factor on Q K^T.

    Args:
        query: (m, N) float32, bfloat16 or float16.
        key: (n, N) of the same type.
        value: (n, N) of the same type.
        dropout: Probability in [0, 1) with which an attention weight is dropped; the others are scaled up. The masks
            follow torch's global generator and are never stored. Default 0.

    Returns:
        (m, N) of the type of ``query``. Softmax and sums are float32 whatever the type.
    """
    seed = int(torch.randint(2**62, ())) if dropout else 0  # torch's CPU generator: no synchronisation with a GPU
    return _BlockwiseAttention.apply(query, key, value, dropout, seed)


class _BlockwiseAttention(torch.autograd.Function):
    """Legend: m query rows, n keys, b keys of a block, N columns.

    Weights are positive, so their sign is free to say which ones dropout has dropped.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, query: Tensor, key: Tensor, value: Tensor, dropout: float, seed: int) -> Tensor:
        top = query.new_full((len(query), 1), -torch.inf, dtype=torch.float32)  # largest entry of a row so far
        total = torch.zeros_like(top)
        out = torch.zeros_like(query, dtype=torch.float32)
        kept: list[Tensor] = []
        first_kept = max(0, len(key) - KEPT_ENTRIES // len(query)) if any(ctx.needs_input_grad) else len(key)
        buffers = _Buffers(query, key)
        with _no_autocast(query):
            for part, drop in _blocks(query, key, dropout, seed):
                keep = part.start >= first_kept
                weights = buffers.product(query, key[part].t(), None if keep else "weights")  # (m, b)
                new_top = torch.maximum(top, weights.amax(dim=1, keepdim=True))
                weights.sub_(new_top).exp_()
                decay = (top - new_top).exp_()
                total.mul_(decay).add_(weights.sum(dim=1, keepdim=True))
                weights = drop(weights)
                left = buffers.positive(weights) if dropout else weights
                _add_product(out.mul_(decay), left.to(value.dtype), value[part])
                top = new_top
                kept += [weights.to(value.dtype), top] if keep else []
            out = out.div_(total * (1.0 - dropout)).to(query.dtype)
        ctx.save_for_backward(query, key, value, out, top + total.log(), *kept)
        ctx.dropout, ctx.seed = dropout, seed
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, log_total, *kept = ctx.saved_tensors
        grad_query = torch.zeros_like(query, dtype=torch.float32)
        grad_key, grad_value = torch.empty_like(key), torch.empty_like(value)
        buffers = _Buffers(query, key)
        with _no_autocast(query):
            # sum over a row of weight times its gradient: the softmax's part of the derivative
            row_sum = (grad_out.float() * out.float()).sum(dim=1, keepdim=True)
            scaled = (grad_out / (1.0 - ctx.dropout)).to(query.dtype)
            recomputed = -(-len(key) // _block_size(query)) - len(kept) // 2
            for index, (part, drop) in enumerate(_blocks(query, key, ctx.dropout, ctx.seed)):
                if index >= recomputed:  # relative to the largest entry so far; a factor per row is missing
                    weights, top = kept[2 * (index - recomputed) : 2 * (index - recomputed) + 2]
                    factor = (top - log_total).exp()
                else:
                    weights, factor = buffers.product(query, key[part].t(), "weights"), torch.ones_like(log_total)
                    weights = drop(weights.sub_(log_total).exp_())
                left = buffers.positive(weights) if ctx.dropout else weights
                # left * grad - |weights| * row_sum, where |weights| = 2 * left - weights
                grad_map = buffers.product(scaled, value[part].t(), "grad").sub_(2.0 * row_sum)
                grad_map = grad_map.mul_(left).addcmul_(weights, row_sum).to(query.dtype)
                rows, grad_rows = ((side * factor).to(query.dtype) for side in (query, scaled))
                torch.mm(left.to(query.dtype).t(), grad_rows, out=grad_value[part])
                torch.mm(grad_map.t(), rows, out=grad_key[part])
                grad_query.addcmul_((grad_map @ key[part]).float(), factor)
        return grad_query.to(query.dtype), grad_key, grad_value, None, None


def _blocks(
    query: Tensor, key: Tensor, dropout: float, seed: int
) -> Iterator[tuple[slice, Callable[[Tensor], Tensor]]]:
    """Yield slices of the keys (n, N), each with a function that makes its dropped (m, b) weights negative, in place.

    The masks are drawn when the function is called, one after the other: the first calls with the same seed draw the
    same ones.
    """
    size = _block_size(query)
    noise = _noise_source(dropout, seed, query.device) if dropout else None
    for first in range(0, len(key), size):
        yield (
            slice(first, first + size),
            lambda weights: weights if noise is None else weights.copysign_(noise(weights)),
        )


def _noise_source(dropout: float, seed: int, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return a function that draws, in the shape of its argument, numbers below 0 with probability ``dropout``."""
    if device.type != "cpu":
        generator = torch.Generator(device).manual_seed(seed)
        return lambda like: torch.rand(like.shape, generator=generator, device=device).sub_(dropout)
    # torch draws on one core, a number at a time: numpy's raw words take a quarter of its time.
    words = np.random.PCG64DXSM(seed)
    threshold = dropout * 2.0**32 - 2.0**31  # of uniform 32-bit words, read as signed

    def draw(like: Tensor) -> Tensor:
        bits = torch.from_numpy(words.random_raw((like.numel() + 1) // 2)).view(torch.int32)
        return bits[: like.numel()].float().sub_(threshold).view_as(like)

    return draw


class _Buffers:
    """Float32 space for the maps of one block, by name; allocating it for every block costs as much as filling it."""

    def __init__(self, query: Tensor, key: Tensor) -> None:
        self._shape = (len(query), min(_block_size(query), len(key)))
        self._device = query.device
        self._named: dict[str, Tensor] = {}

    def get(self, name: str, columns: int) -> Tensor:
        """Return the (m, columns) buffer of this name."""
        if name not in self._named:
            self._named[name] = torch.empty(self._shape, device=self._device)
        return self._named[name][:, :columns]

    def product(self, left: Tensor, right: Tensor, name: str | None) -> Tensor:
        """Return left @ right as float32, in the buffer of this name or, with None, in memory of its own."""
        if name is None or left.dtype != torch.float32:
            return (left @ right).float()
        return torch.mm(left, right, out=self.get(name, right.shape[1]))

    def positive(self, weights: Tensor) -> Tensor:
        """Return the weights with 0 for the dropped ones."""
        return torch.clamp(weights, min=0.0, out=self.get("positive", weights.shape[1]).to(weights.dtype))


def _block_size(query: Tensor) -> int:
    """Keys of a block."""
    return max(1, _BLOCK_ENTRIES.get(query.device.type, _BLOCK_ENTRIES_ELSEWHERE) // len(query))


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left @ right to a float32 total, in one step where the types allow it."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)


def _no_autocast(tensor: Tensor) -> torch.autocast:
    return torch.autocast(device_type=tensor.device.type, enabled=False)
