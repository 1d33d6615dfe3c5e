"""Time and peak memory of the neck, the exact attention beside the plain one.

    python tools/benchmark/neck.py                           # PASCAL VOC: C 512, h 2, K 21, crop 513, 2 + 2 images
    python tools/benchmark/neck.py --classes 19 21 81 150 --out docs/benchmarks/neck_classes.json

Each row is one size: forward, forward + backward, and the memory that one such step needs on top of weights and inputs,
measured in a process of its own.
"""

from __future__ import annotations

import multiprocessing
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from _harness import DEVICE, autocast, make_parser, save, say, speedup, start, time_cases

# isort: split
import torch

from mmseg_allspark.models import AllSparkNeck, feature_size

IMPLEMENTATIONS = ("plain", "exact")


def build_step(args: Namespace, implementation: str, classes: int, crop: int) -> Callable[..., None]:
    """Return a function that runs one training step of the neck, ``backward`` or not."""
    torch.manual_seed(0)
    size, _ = feature_size(crop)
    options = dict(num_heads=args.heads, memory_size=size, attn_drop=args.dropout, implementation=implementation)
    neck = AllSparkNeck(args.channels, classes, **options).to(DEVICE)
    level = torch.randn(2 * args.images, args.channels, size, size, device=DEVICE, requires_grad=True)
    pseudo_logits = torch.randn(args.images, classes, crop, crop, device=DEVICE)
    grad_out = torch.randn_like(level)

    def step(backward: bool = True) -> None:
        with autocast(args.dtype):
            (out,) = neck([level], num_labeled=args.images, pseudo_logits=pseudo_logits)
        if backward:
            neck.zero_grad(set_to_none=True)
            out.backward(grad_out.to(out.dtype))

    return step


def count_flops(args: Namespace, classes: int, crop: int) -> float:
    """Floating-point operations of the large matrix products of a step, those of the memory: the floor of its time.

    Forward: keys and values projected (2), affinity and weighted values (2). Backward: weights of the projections (2),
    and two products for each of the attention's two. Whatever is computed again is not counted.
    """
    tokens, rows = feature_size(crop)[0] ** 2, args.heads * args.channels
    keys = classes * rows
    projections = 4 * 2 * keys * args.channels * tokens
    return projections + 6 * 2 * args.images * rows * keys * tokens


def _resident(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{key}:")))


def measure_extra_memory(case: Callable[[], object]) -> int:
    """Bytes that a call needs on top of what is held before it, at its peak.

    On a GPU torch is asked. On the CPU it is the growth of the resident set, which is only meaningful in a process that
    has not run the case before.
    """
    if torch.cuda.is_available():
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        case()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest mark so far
    case()
    return _resident("VmHWM") - before


def step_memory(args: Namespace, implementation: str, classes: int, crop: int) -> int:
    """Extra bytes of one step, in a fresh process."""
    if args.threads:
        torch.set_num_threads(args.threads)
    build_step(Namespace(**vars(args) | dict(channels=32)), implementation, classes=3, crop=65)()  # loads libraries
    return measure_extra_memory(build_step(args, implementation, classes, crop))


def run(args: Namespace, classes: int, crop: int) -> dict:
    """Measure one size."""
    steps = {name: build_step(args, name, classes, crop) for name in args.implementations}
    forward = time_cases({name: lambda step=step: step(backward=False) for name, step in steps.items()}, args)
    whole = time_cases(steps, args)
    del steps
    row = dict(classes=classes, crop=crop, flops=count_flops(args, classes, crop))
    for name, timing in whole.items():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            extra = pool.apply(step_memory, (args, name, classes, crop))
        row[name] = dict(forward=forward[name].times, forward_backward=timing.times, extra_bytes=extra)
        say(
            f"{crop:5} {classes:5} {name:6} {forward[name].median * 1e3:9.1f} ms {timing.median * 1e3:9.1f} ms "
            f"± {timing.iqr * 1e3:6.1f} {extra / 2**20:8.0f} MB {row['flops'] / timing.median / 1e9:7.0f} GFLOP/s"
        )
    if len(whole) == 2:
        faster = speedup(whole["exact"], whole["plain"])
        ratio = row["plain"]["extra_bytes"] / max(1, row["exact"]["extra_bytes"])
        row |= dict(speedup=faster.median, speedup_spread=faster.iqr, memory_ratio=ratio)
        say(f"            exact: {faster.median:.2f} ± {faster.iqr:.2f} times as fast, 1/{ratio:.1f} of the memory")
    return row


def main() -> None:
    """Measure what the command line asks for."""
    parser = make_parser(__doc__, rounds=5)
    parser.add_argument("--classes", type=int, nargs="+", help="classes K, several for a sweep", default=[21])
    parser.add_argument("--crops", type=int, nargs="+", help="crop sizes, several for a sweep", default=[513])
    parser.add_argument("--channels", type=int, default=512, help="C of the deepest level")
    parser.add_argument("--heads", type=int, default=2, help="heads h")
    parser.add_argument("--images", type=int, default=2, help="labeled and as many unlabeled ones")
    parser.add_argument("--dropout", type=float, default=0.1, help="of the attention weights")
    parser.add_argument("--implementations", nargs="+", choices=IMPLEMENTATIONS, default=IMPLEMENTATIONS)
    args = start(parser)
    say(" crop  classes          forward     forward + backward    extra memory   rate of the products counted")
    save(args, [run(args, classes, crop) for crop in args.crops for classes in args.classes])


if __name__ == "__main__":
    main()
